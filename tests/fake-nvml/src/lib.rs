//! A `libnvidia-ml.so.1` that says what a script says. For tests and the demo; it knows of no real card.
//!
//! The script is a JSON file, [`script::Script`]: the one that `WARMLANE_FAKE_NVML` names, else the one beside the
//! library that has its name and `.json` behind it, so that copies of the library can run side by side in one process.
//! It is read again whenever it changes, so a running test can change values, fail or hang calls, lose a card and
//! raise XID events. A file that cannot be read or parsed changes nothing: write a new one and rename it into place.
//!
//! ```json
//! { "driver": "570.86",
//!   "fail": { "nvmlInit_v2": 9 },
//!   "devices": [ {
//!     "uuid": "GPU-0", "name": "NVIDIA A10",
//!     "values": { "nvmlDeviceGetPowerUsage": 71000, "nvmlDeviceGetClockInfo.1": 1695, "field.145": 0 },
//!     "fail": { "nvmlDeviceGetName": 999 },
//!     "hang_ms": { "nvmlDeviceGetPowerUsage": 60000 },
//!     "lost": false,
//!     "xids": [ 79 ],
//!     "slices": [ { "uuid": "MIG-0", "values": { "nvmlDeviceGetMemoryInfo_v2.total": 10 } } ] } ] }
//! ```
//!
//! A value's key is the name of its call, then what tells its answers apart: arguments in order, or the name of the
//! structure's field. What has no value is answered with `NOT_SUPPORTED`, as by a card that does not have it.

#[expect(unsafe_code, reason = "the C interface: raw pointers of the caller are written through")]
mod exports;
mod place;
mod script;
mod world;
