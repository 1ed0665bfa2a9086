//! The calls of NVML that the agent uses, by their C names.
//!
//! Handles are numbers, never followed. Room for one value is an [`Out`], which C passes as a pointer; what comes with
//! a length is the one thing that is written through a raw pointer.

use std::{
    ffi::{c_char, c_int, c_uint, c_ulonglong},
    mem::MaybeUninit,
    ptr, slice,
    time::Duration,
};

use nvml_wrapper_sys::bindings::{
    nvmlDevice_t, nvmlEventData_t, nvmlEventSet_t, nvmlEventTypeXidCriticalError as XID, nvmlFieldValue_t,
    nvmlMemory_v2_t, nvmlReturn_enum_NVML_ERROR_INSUFFICIENT_SIZE as TOO_SMALL,
    nvmlReturn_enum_NVML_ERROR_INVALID_ARGUMENT as INVALID,
    nvmlReturn_enum_NVML_ERROR_NOT_SUPPORTED as NOT_SUPPORTED, nvmlReturn_enum_NVML_SUCCESS as SUCCESS,
    nvmlReturn_t, nvmlUtilization_t, nvmlValueType_enum_NVML_VALUE_TYPE_UNSIGNED_LONG_LONG as WHOLE,
};

use crate::world::{self, Answer};

/// Where the caller wants a value; `None` is its null.
type Out<'a, T> = Option<&'a mut MaybeUninit<T>>;

/// Calls that write one number: `name(arguments) -> type`. The key of the value in a script is the name, with the
/// arguments behind it.
macro_rules! numbers {
    ($($name:ident($($argument:ident),*) -> $out:ty;)*) => { $(
        #[unsafe(no_mangle)]
        extern "C" fn $name(device: nvmlDevice_t, $($argument: c_uint,)* out: Out<$out>) -> nvmlReturn_t {
            let number = || {
                let name = stringify!($name);
                let key = [name.to_owned() $(, $argument.to_string())*].join(".");
                world::find(device.addr(), name)?.number(&key)
            };
            code(number().and_then(|number| put(out, number as $out)))
        }
    )* };
}

/// Calls that write one text.
macro_rules! texts {
    ($($name:ident => $field:ident;)*) => { $(
        #[unsafe(no_mangle)]
        extern "C" fn $name(device: nvmlDevice_t, out: *mut c_char, length: c_uint) -> nvmlReturn_t {
            let found = world::find(device.addr(), stringify!($name));
            code(found.and_then(|found| put_text(out, length, &found.device()?.$field)))
        }
    )* };
}

numbers! {
    nvmlDeviceGetPowerUsage() -> c_uint;
    nvmlDeviceGetEnforcedPowerLimit() -> c_uint;
    nvmlDeviceGetTotalEnergyConsumption() -> c_ulonglong;
    nvmlDeviceGetTemperature(sensor) -> c_uint;
    nvmlDeviceGetTemperatureThreshold(threshold) -> c_uint;
    nvmlDeviceGetClockInfo(clock) -> c_uint;
    nvmlDeviceGetCurrentClocksThrottleReasons() -> c_ulonglong;
    nvmlDeviceGetTotalEccErrors(error, counter) -> c_ulonglong;
    nvmlDeviceGetCurrPcieLinkGeneration() -> c_uint;
    nvmlDeviceGetCurrPcieLinkWidth() -> c_uint;
    nvmlDeviceGetPcieReplayCounter() -> c_uint;
}

texts! {
    nvmlDeviceGetUUID => uuid;
    nvmlDeviceGetName => name;
}

// === The library ===

#[unsafe(no_mangle)]
extern "C" fn nvmlInit_v2() -> nvmlReturn_t {
    code(world::start())
}

#[unsafe(no_mangle)]
extern "C" fn nvmlShutdown() -> nvmlReturn_t {
    world::shut_down();
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn nvmlSystemGetDriverVersion(out: *mut c_char, length: c_uint) -> nvmlReturn_t {
    let script = world::pass("nvmlSystemGetDriverVersion");
    code(script.and_then(|script| put_text(out, length, &script.driver)))
}

// === Cards ===

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetCount_v2(out: Out<c_uint>) -> nvmlReturn_t {
    let script = world::pass("nvmlDeviceGetCount_v2");
    code(script.and_then(|script| put(out, script.devices.len() as c_uint)))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetHandleByIndex_v2(index: c_uint, out: Out<nvmlDevice_t>) -> nvmlReturn_t {
    code(world::card(index as usize).and_then(|handle| put(out, ptr::without_provenance_mut(handle))))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetIndex(device: nvmlDevice_t, out: Out<c_uint>) -> nvmlReturn_t {
    let found = world::find(device.addr(), "nvmlDeviceGetIndex");
    code(found.and_then(|found| put(out, found.index() as c_uint)))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetMemoryInfo_v2(device: nvmlDevice_t, out: Out<nvmlMemory_v2_t>) -> nvmlReturn_t {
    let memory = || {
        let found = world::find(device.addr(), "nvmlDeviceGetMemoryInfo_v2")?;
        let total = found.number("nvmlDeviceGetMemoryInfo_v2.total")?;
        let used = found.number("nvmlDeviceGetMemoryInfo_v2.used")?;
        Ok(nvmlMemory_v2_t { version: 0, total, reserved: 0, free: total.saturating_sub(used), used })
    };
    code(memory().and_then(|memory| put(out, memory)))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetUtilizationRates(
    device: nvmlDevice_t,
    out: Out<nvmlUtilization_t>,
) -> nvmlReturn_t {
    let rates = || {
        let found = world::find(device.addr(), "nvmlDeviceGetUtilizationRates")?;
        let gpu = found.number("nvmlDeviceGetUtilizationRates.gpu")? as c_uint;
        let memory = found.number("nvmlDeviceGetUtilizationRates.memory")? as c_uint;
        Ok(nvmlUtilization_t { gpu, memory })
    };
    code(rates().and_then(|rates| put(out, rates)))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetFieldValues(
    device: nvmlDevice_t,
    count: c_int,
    values: *mut nvmlFieldValue_t,
) -> nvmlReturn_t {
    let fill = || {
        let found = world::find(device.addr(), "nvmlDeviceGetFieldValues")?;
        // SAFETY: `values` and `count` came together from the caller, which has set the number of each field.
        let values = unsafe { room(values, count.try_into().unwrap_or(0)) }?;
        for value in values {
            let number = found.number(&format!("field.{}", value.fieldId));
            value.valueType = WHOLE;
            value.value.ullVal = number.unwrap_or(0);
            value.nvmlReturn = number.err().unwrap_or(SUCCESS);
        }
        Ok(())
    };
    code(fill())
}

// === MIG ===

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetMigMode(
    device: nvmlDevice_t,
    current: Out<c_uint>,
    pending: Out<c_uint>,
) -> nvmlReturn_t {
    let mode = || {
        let found = world::find(device.addr(), "nvmlDeviceGetMigMode")?;
        if found.device()?.slices.is_empty() {
            return Err(NOT_SUPPORTED);
        }
        put(current, 1)?;
        put(pending, 1)
    };
    code(mode())
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetMaxMigDeviceCount(device: nvmlDevice_t, out: Out<c_uint>) -> nvmlReturn_t {
    let found = world::find(device.addr(), "nvmlDeviceGetMaxMigDeviceCount");
    // As many places as real cards have, most of them empty.
    code(found.and_then(|_| put(out, 7)))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetMigDeviceHandleByIndex(
    device: nvmlDevice_t,
    index: c_uint,
    out: Out<nvmlDevice_t>,
) -> nvmlReturn_t {
    let handle = world::slice(device.addr(), index as usize);
    code(handle.and_then(|handle| put(out, ptr::without_provenance_mut(handle))))
}

// === Events ===

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetSupportedEventTypes(device: nvmlDevice_t, out: Out<c_ulonglong>) -> nvmlReturn_t {
    let found = world::find(device.addr(), "nvmlDeviceGetSupportedEventTypes");
    code(found.and_then(|_| put(out, XID.into())))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlEventSetCreate(out: Out<nvmlEventSet_t>) -> nvmlReturn_t {
    let passed = world::pass("nvmlEventSetCreate");
    code(passed.and_then(|_| put(out, ptr::without_provenance_mut(world::create_set()))))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceRegisterEvents(
    device: nvmlDevice_t,
    _types: c_ulonglong,
    set: nvmlEventSet_t,
) -> nvmlReturn_t {
    code(world::register(device.addr(), set.addr()))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlEventSetWait_v2(
    set: nvmlEventSet_t,
    out: Out<nvmlEventData_t>,
    limit_ms: c_uint,
) -> nvmlReturn_t {
    let event = world::wait(set.addr(), Duration::from_millis(limit_ms.into()));
    code(event.and_then(|(handle, xid)| {
        let device = ptr::without_provenance_mut(handle);
        // All bits set: the event is of the card and not of one of its slices.
        let (gpu, compute) = (c_uint::MAX, c_uint::MAX);
        let event = nvmlEventData_t {
            device,
            eventType: XID.into(),
            eventData: xid,
            gpuInstanceId: gpu,
            computeInstanceId: compute,
        };
        put(out, event)
    }))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlEventSetFree(set: nvmlEventSet_t) -> nvmlReturn_t {
    code(world::free_set(set.addr()))
}

// === Pointers ===

fn code(answer: Answer<()>) -> nvmlReturn_t {
    answer.err().unwrap_or(SUCCESS)
}

fn put<T>(out: Out<T>, value: T) -> Answer<()> {
    out.ok_or(INVALID)?.write(value);
    Ok(())
}

fn put_text(out: *mut c_char, length: c_uint, text: &str) -> Answer<()> {
    // SAFETY: `out` and `length` came together from the caller; its buffer is its own, and filled with zeros.
    let room = unsafe { room(out.cast::<u8>(), length as usize) }?;
    let end = text.len();
    if end >= room.len() {
        return Err(TOO_SMALL);
    }
    room[..end].copy_from_slice(text.as_bytes());
    room[end] = 0;
    Ok(())
}

/// The caller's array.
///
/// # Safety
///
/// `out` is null, or points to `length` initialised values that nobody else touches during the call.
unsafe fn room<'a, T>(out: *mut T, length: usize) -> Answer<&'a mut [T]> {
    if out.is_null() {
        return Err(INVALID);
    }
    // SAFETY: not null, and the rest is what the caller of this function promises.
    Ok(unsafe { slice::from_raw_parts_mut(out, length) })
}
