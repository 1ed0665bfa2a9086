//! The object with the programs and maps: loaded, checked, attached.
//!
//! The programs are attached before any socket is put into a map: one that was put in earlier would never be shown to them.
//! What is attached is held by file descriptors of this process, so that connections are no longer watched when it ends, however it
//! ends. The program for messages lives on in a killed router's connections until the pods have closed them.

use std::{
    error::Error,
    fs, io,
    path::{Path, PathBuf},
};

use aya::{
    Ebpf, EbpfError, EbpfLoader, VerifierLogLevel,
    maps::{Array, HashMap, Map, MapData, PerCpuArray, SockHash, sock::SockMapFd},
    programs::{self, CgroupAttachMode, Program, ProgramError, SkMsg, SkSkb, SockOps},
};
use warmlane_abi::VERSION;

use super::{LoadError, Settings, btf, cgroup, memory::Memory, socket};

const MESSAGES: &str = "messages";
const PACKETS: &str = "packets";
const CONNECTIONS: &str = "connections";
/// The name that the static with the version gives its map.
const VERSION_MAP: &str = ".rodata.abi";

/// A map that the router writes or reads by key.
pub(super) type Keyed<K, V> = HashMap<MapData, K, V>;

/// What is attached, and the maps that the router uses.
pub(super) struct Maps {
    pub(super) fronts: Keyed<u32, u32>,
    pub(super) upstreams: Keyed<u64, [u32; 4]>,
    pub(super) client_sockets: Keyed<u64, u64>,
    pub(super) slot_of: Keyed<u64, u32>,
    pub(super) clients: SockHash<MapData, u64>,
    pub(super) counts: PerCpuArray<MapData, u64>,
    /// Holds the programs and what they are attached to.
    object: Ebpf,
    /// Behind the programs, so that nobody puts sockets in any more.
    pub(super) pod_sockets: PodSockets,
}

/// Pods' ends. A socket in the map holds the program that runs for it, the program holds the map, and the map the
/// socket: without being emptied, all three would stay until the pods close their connections.
pub(super) struct PodSockets(SockHash<MapData, u64>);

/// Whether a program with this number is loaded, by whomever.
pub fn is_loaded(program: u32) -> bool {
    programs::loaded_programs().filter_map(Result::ok).any(|info| info.id() == program)
}

/// Loads it and attaches it.
pub(super) fn load(settings: &Settings) -> Result<(Memory, Maps), LoadError> {
    lay(settings).map_err(|error| match error {
        LoadError::Unfit { why, .. } => LoadError::Unfit { path: settings.object.clone(), why },
        error => error,
    })
}

fn lay(settings: &Settings) -> Result<(Memory, Maps), LoadError> {
    let path = &settings.object;
    let bytes = fs::read(path).map_err(|error| LoadError::Missing { path: path.clone(), error })?;
    let cgroup = settings.cgroup.clone().map_or_else(cgroup::root, Ok)?;
    let cgroup = open(&cgroup)?;
    let mut object = create(&bytes, settings)?;
    check(&object)?;
    attach(&mut object, cgroup, settings.remote)?;
    collect(object, settings.slots)
}

fn open(cgroup: &Path) -> Result<fs::File, LoadError> {
    let wrong = |why: String| LoadError::Cgroup(format!("{}: {why}", cgroup.display()));
    // A file of every cgroup of version 2, and of none of version 1.
    if !cgroup.join("cgroup.controllers").exists() {
        return Err(wrong("not a cgroup of version 2".into()));
    }
    fs::File::open(cgroup).map_err(|error| wrong(error.to_string()))
}

/// Makes the maps, and fills in what the programs must know of this kernel.
fn create(bytes: &[u8], settings: &Settings) -> Result<Ebpf, LoadError> {
    let layout = btf::layout()?.words();
    let home = socket::namespace().map_err(|error| kernel("find out the network namespace", &error))?;
    let mut loader = EbpfLoader::new();
    loader.override_global("LAYOUT", &layout, true).override_global("HOME", &home, true);
    loader.verifier_log_level(VerifierLogLevel::STATS);
    for map in ["POD_SOCKETS", "CLIENTS", "CLIENT_SOCKETS", "LINKS", "UPSTREAMS", "POSITIONS"] {
        loader.map_max_entries(map, settings.connections);
    }
    loader.map_max_entries("REMOTES", if settings.remote { settings.connections } else { 1 });
    for map in ["SLOT_OF", "SLOTS"] {
        loader.map_max_entries(map, settings.slots);
    }
    loader.load(bytes).map_err(|error| match error {
        EbpfError::ParseError(error) => unfit(error.to_string()),
        error => kernel("create the maps", &error),
    })
}

fn check(object: &Ebpf) -> Result<(), LoadError> {
    let found = object.map(VERSION_MAP).and_then(|map| {
        let version = Array::<_, u32>::try_from(map).ok()?;
        version.get(&0, 0).ok()
    });
    match found {
        Some(VERSION) => Ok(()),
        Some(other) => Err(unfit(format!("its layout has version {other}, here it is {VERSION}"))),
        None => Err(unfit("its version is unknown".into())),
    }
}

fn attach(object: &mut Ebpf, cgroup: fs::File, remote: bool) -> Result<(), LoadError> {
    let sockets = socket_map(object, "POD_SOCKETS")?;
    let messages: &mut SkMsg = program(object, MESSAGES)?;
    messages.load().map_err(|error| refused(MESSAGES, &error))?;
    messages.attach(&sockets).map_err(|error| kernel("attach to the socket map", &error))?;
    if remote {
        let sockets = socket_map(object, "REMOTES")?;
        let packets: &mut SkSkb = program(object, PACKETS)?;
        packets.load().map_err(|error| refused(PACKETS, &error))?;
        packets.attach(&sockets).map_err(|error| kernel("attach to the socket map", &error))?;
    }
    let connections: &mut SockOps = program(object, CONNECTIONS)?;
    connections.load().map_err(|error| refused(CONNECTIONS, &error))?;
    // Beside the programs of others on the same cgroup, not in their place: a link always allows that, and refuses the flag for it.
    let attached = connections.attach(cgroup, CgroupAttachMode::Single);
    attached.map(drop).map_err(|error| kernel("attach to the cgroup", &error))
}

fn socket_map(object: &Ebpf, name: &'static str) -> Result<SockMapFd, LoadError> {
    let Some(map @ Map::SockHash(_)) = object.map(name) else { return Err(lacks(name)) };
    let sockets = SockHash::<_, u64>::try_from(map).map_err(|error| kernel("open a socket map", &error))?;
    sockets.fd().try_clone().map_err(|error| kernel("open a socket map", &error))
}

fn program<'o, P>(object: &'o mut Ebpf, name: &'static str) -> Result<&'o mut P, LoadError>
where
    &'o mut P: TryFrom<&'o mut Program, Error = ProgramError>,
{
    let program = object.program_mut(name).ok_or_else(|| lacks(name))?;
    program.try_into().map_err(|_| lacks(name))
}

fn collect(mut object: Ebpf, slots: u32) -> Result<(Memory, Maps), LoadError> {
    let memory = match object.map("SLOTS") {
        Some(Map::Array(array)) => {
            Memory::map(array.fd(), slots).map_err(|error| kernel("map the slots", &error))?
        }
        _ => return Err(lacks("SLOTS")),
    };
    let maps = Maps {
        fronts: take(&mut object, "FRONTS")?,
        upstreams: take(&mut object, "UPSTREAMS")?,
        client_sockets: take(&mut object, "CLIENT_SOCKETS")?,
        slot_of: take(&mut object, "SLOT_OF")?,
        clients: take(&mut object, "CLIENTS")?,
        counts: take(&mut object, "COUNTS")?,
        pod_sockets: PodSockets(take(&mut object, "POD_SOCKETS")?),
        object,
    };
    Ok((memory, maps))
}

fn take<M: TryFrom<Map>>(object: &mut Ebpf, name: &'static str) -> Result<M, LoadError> {
    object.take_map(name).and_then(|map| M::try_from(map).ok()).ok_or_else(|| lacks(name))
}

fn lacks(name: &str) -> LoadError {
    unfit(format!("it lacks {name}"))
}

/// Where it lies is told by who has its path.
fn unfit(why: String) -> LoadError {
    LoadError::Unfit { path: PathBuf::new(), why }
}

fn refused(program: &'static str, error: &ProgramError) -> LoadError {
    match error {
        ProgramError::LoadError { io_error, .. }
            if io_error.kind() == io::ErrorKind::PermissionDenied && io_error.raw_os_error() == Some(1) =>
        {
            LoadError::Privilege { what: "load the programs" }
        }
        ProgramError::LoadError { verifier_log, io_error } => {
            let why = last_words(&verifier_log.to_string());
            LoadError::Refused { program, why: if why.is_empty() { io_error.to_string() } else { why } }
        }
        other => kernel("load the programs", other),
    }
}

/// What the verifier says at last, before it adds figures.
fn last_words(log: &str) -> String {
    let figures = ["processed ", "verification time", "stack depth"];
    let told = |line: &&str| !line.is_empty() && !figures.iter().any(|figure| line.starts_with(figure));
    log.lines().map(str::trim).rev().find(told).unwrap_or_default().to_owned()
}

fn kernel(what: &'static str, error: &(dyn Error + 'static)) -> LoadError {
    let (mut cause, mut why) = (Some(error), Vec::new());
    while let Some(error) = cause {
        let system = error.downcast_ref::<io::Error>();
        if system.is_some_and(|error| error.kind() == io::ErrorKind::PermissionDenied) {
            return LoadError::Privilege { what };
        }
        why.push(error.to_string());
        cause = error.source();
    }
    LoadError::Kernel { what, why: why.join(": ") }
}

// === Maps ===

impl Maps {
    /// A counter, over all CPUs.
    pub(super) fn count(&self, number: u32) -> u64 {
        self.counts.get(&number, 0).map_or(0, |per_cpu| per_cpu.iter().sum())
    }

    /// The numbers of the programs.
    pub(super) fn programs(&self) -> Vec<u32> {
        self.object.programs().filter_map(|(_, program)| Some(program.info().ok()?.id())).collect()
    }
}

// === PodSockets ===

impl PodSockets {
    /// Takes one out: no program looks at what it sends any more.
    pub(super) fn forget(&mut self, cookie: u64) {
        // It was closed meanwhile: as wanted.
        let _ = self.0.remove(&cookie);
    }

    pub(super) fn forget_all(&mut self) {
        let cookies: Vec<u64> = self.0.keys().filter_map(Result::ok).collect();
        cookies.into_iter().for_each(|cookie| self.forget(cookie));
    }
}

impl Drop for PodSockets {
    fn drop(&mut self) {
        self.forget_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verifiers_figures_are_not_its_last_words() {
        let log = "5: (79) r1 = *(u64 *)(r1 +8)\nR1 invalid mem access 'scalar'\nverification time 9 usec\n\
                   stack depth 64\nprocessed 40 insns (limit 1000000)\n\n";
        assert_eq!(last_words(log), "R1 invalid mem access 'scalar'");
        assert_eq!(last_words(""), "");
    }
}
