//! Reads one card: every value by a question of its own, so that one that fails takes nothing from the others.

use std::{collections::BTreeSet, sync::Arc};

use nvml_wrapper::{
    Device,
    enum_wrappers::device::{Clock, EccCounter, MemoryError, TemperatureSensor, TemperatureThreshold},
    enums::device::SampleValue,
    error::NvmlError,
    structs::device::FieldId,
    sys_exports::field_id::{
        NVML_FI_DEV_REMAPPED_COR, NVML_FI_DEV_REMAPPED_FAILURE, NVML_FI_DEV_REMAPPED_PENDING,
        NVML_FI_DEV_REMAPPED_UNC,
    },
};

use super::{Library, Unavailable};
use crate::gpu::{
    health::Absence,
    sample::{Clocks, Ecc, Memory, Pcie, Remap, Sample, Throttle, Utilisation},
};

/// Reads the card of one index, again and again.
#[derive(Debug)]
pub(in crate::gpu) struct Reader {
    index: u32,
    /// As last heard.
    uuid: Option<Arc<str>>,
    /// Questions whose failure was told: once is enough.
    told: BTreeSet<&'static str>,
}

/// A card and its MIG slices.
#[derive(Debug)]
pub(in crate::gpu) struct Reading {
    pub(in crate::gpu) card: Sample,
    pub(in crate::gpu) slices: Vec<Sample>,
}

/// How a round of questions ended.
#[derive(Debug)]
pub(in crate::gpu) enum Outcome {
    Read(Box<Reading>),
    /// Not one question was answered, for no reason that says more.
    Mute,
    /// The card is there no more.
    Absent(Absence),
    /// The driver is there no more: the library must be opened anew.
    NoDriver(Unavailable),
}

/// One round of questions.
struct Round<'a> {
    index: u32,
    told: &'a mut BTreeSet<&'static str>,
    answers: u32,
    /// Ends the round: asking on would only wait for the same error.
    over: Option<Outcome>,
}

// === Reader ===

impl Reader {
    pub(in crate::gpu) fn new(index: u32) -> Self {
        Self { index, uuid: None, told: BTreeSet::new() }
    }

    pub(in crate::gpu) fn uuid(&self) -> Option<Arc<str>> {
        self.uuid.clone()
    }

    pub(in crate::gpu) fn read(&mut self, library: &Library) -> Outcome {
        let mut round = Round { index: self.index, told: &mut self.told, answers: 0, over: None };
        let Some(device) = round.ask("the card", || library.nvml.device_by_index(self.index)) else {
            return round.over.unwrap_or(Outcome::Mute);
        };
        let uuid = round.ask("its UUID", || device.uuid()).map(Arc::from);
        self.uuid = uuid.or_else(|| self.uuid.take());
        let name = round.ask("its name", || device.name()).map(Arc::from);
        // No sign of life so far: the library may know all this without asking the card.
        round.answers = 0;
        let card =
            Sample { index: self.index, uuid: self.uuid.clone(), name, ..measure(&mut round, &device) };
        let slices = slices(&mut round, &device, &card);
        match round.over {
            Some(over) => over,
            None if round.answers == 0 => Outcome::Mute,
            None => Outcome::Read(Box::new(Reading { card, slices })),
        }
    }
}

/// Everything but who it is.
fn measure(round: &mut Round<'_>, device: &Device<'_>) -> Sample {
    Sample {
        memory: memory(round, device),
        utilisation: round
            .ask("its utilisation", || device.utilization_rates())
            .map(|rates| Utilisation { gpu: rates.gpu, memory: rates.memory }),
        temperature: round.ask("its temperature", || device.temperature(TemperatureSensor::Gpu)),
        slowdown_at: round
            .ask("its slowdown temperature", || device.temperature_threshold(TemperatureThreshold::Slowdown)),
        power: round.ask("its power", || device.power_usage()),
        power_limit: round.ask("its power limit", || device.enforced_power_limit()),
        energy: round.ask("its energy", || device.total_energy_consumption()),
        clocks: Clocks {
            sm: round.ask("its SM clock", || device.clock_info(Clock::SM)),
            memory: round.ask("its memory clock", || device.clock_info(Clock::Memory)),
        },
        throttle: round
            .ask("its throttle reasons", || device.current_throttle_reasons())
            .map(|reasons| Throttle(reasons.bits())),
        ecc: ecc(round, device),
        remap: remap(round, device),
        pcie: Pcie {
            generation: round.ask("its PCIe generation", || device.current_pcie_link_gen()),
            width: round.ask("its PCIe width", || device.current_pcie_link_width()),
            replays: round.ask("its PCIe replays", || device.pcie_replay_counter()),
        },
        ..Sample::default()
    }
}

fn memory(round: &mut Round<'_>, device: &Device<'_>) -> Option<Memory> {
    let memory = round.ask("its memory", || device.memory_info())?;
    Some(Memory { total: memory.total, used: memory.used })
}

/// The volatile counts: what fell there was reset. Cards with ECC off do not have them.
fn ecc(round: &mut Round<'_>, device: &Device<'_>) -> Ecc {
    let count = |error| device.total_ecc_errors(error, EccCounter::Volatile);
    Ecc {
        corrected: round.ask("its corrected errors", || count(MemoryError::Corrected)),
        uncorrected: round.ask("its uncorrected errors", || count(MemoryError::Uncorrected)),
    }
}

/// By field values: the wrapper has no call for `nvmlDeviceGetRemappedRows`.
fn remap(round: &mut Round<'_>, device: &Device<'_>) -> Remap {
    const FIELDS: [FieldId; 4] = [
        FieldId(NVML_FI_DEV_REMAPPED_COR),
        FieldId(NVML_FI_DEV_REMAPPED_UNC),
        FieldId(NVML_FI_DEV_REMAPPED_PENDING),
        FieldId(NVML_FI_DEV_REMAPPED_FAILURE),
    ];
    let Some(values) = round.ask("its remapped rows", || device.field_values_for(&FIELDS)) else {
        return Remap::default();
    };
    let mut values = values.into_iter().map(|value| whole(&value.ok()?.value.ok()?));
    let mut next = || values.next().flatten();
    Remap {
        correctable: next(),
        uncorrectable: next(),
        pending: next().map(|value| value != 0),
        failed: next().map(|value| value != 0),
    }
}

fn whole(value: &SampleValue) -> Option<u64> {
    match *value {
        SampleValue::U32(value) => Some(value.into()),
        SampleValue::U64(value) => Some(value),
        SampleValue::I64(value) => value.try_into().ok(),
        SampleValue::F64(_) => None,
    }
}

/// Asked for in every round: slices come and go while the library is open.
fn slices(round: &mut Round<'_>, device: &Device<'_>, card: &Sample) -> Vec<Sample> {
    let on = round.ask("its MIG mode", || device.mig_mode()).is_some_and(|mode| mode.current != 0);
    let places = if on { round.ask("its MIG places", || device.mig_device_count()) } else { None };
    let mut slices = Vec::new();
    for place in 0..places.unwrap_or(0) {
        let Some(slice) = round.ask("a MIG slice", || device.mig_device_by_index(place)) else { continue };
        slices.push(Sample {
            index: card.index,
            slice: Some(place),
            uuid: round.ask("a MIG slice's UUID", || slice.uuid()).map(Arc::from),
            parent: card.uuid.clone(),
            name: round.ask("a MIG slice's name", || slice.name()).map(Arc::from),
            memory: memory(round, &slice),
            ..Sample::default()
        });
    }
    slices
}

// === Round ===

impl Round<'_> {
    fn ask<T>(&mut self, what: &'static str, question: impl FnOnce() -> Result<T, NvmlError>) -> Option<T> {
        if self.over.is_some() {
            return None;
        }
        match question() {
            Ok(answer) => {
                self.answers += 1;
                Some(answer)
            }
            Err(error) => {
                self.failed(what, error);
                None
            }
        }
    }

    fn failed(&mut self, what: &'static str, error: NvmlError) {
        match error {
            NvmlError::GpuLost => self.over = Some(Outcome::Absent(Absence::Lost)),
            NvmlError::ResetRequired => self.over = Some(Outcome::Absent(Absence::ResetRequired)),
            NvmlError::Uninitialized | NvmlError::DriverNotLoaded | NvmlError::LibRmVersionMismatch => {
                self.over = Some(Outcome::NoDriver(error.into()));
            }
            // The card or the driver does not have it, or a place for a slice is empty.
            NvmlError::NotSupported
            | NvmlError::FailedToLoadSymbol(_)
            | NvmlError::FunctionNotFound
            | NvmlError::NotFound => {}
            _ => {
                if self.told.insert(what) {
                    tracing::warn!(gpu = self.index, "{what} cannot be read: {error}");
                }
            }
        }
    }
}
