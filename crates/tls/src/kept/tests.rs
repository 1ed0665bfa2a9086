use std::{fs, path::Path};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use tempfile::TempDir;

use super::*;
use crate::{Client, File, Server};

fn write(folder: &Path, certificate: bool, key: bool) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    if certificate {
        fs::write(folder.join("tls.crt"), cert.pem()).expect("written");
    }
    if key {
        fs::write(folder.join("tls.key"), signing_key.serialize_pem()).expect("written");
    }
}

fn server(folder: &TempDir) -> Server {
    let file = |name| File::new("--tls", folder.path().join(name));
    Server { certificate: file("tls.crt"), key: file("tls.key"), clients: None, protocols: &[crate::H2] }
}

fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), true, true);
    folder
}

#[test]
fn changed_files_are_used_and_unchanged_ones_are_not_looked_into() {
    let folder = folder();
    let kept = Kept::load(server(&folder)).expect("loaded");
    let before = kept.current();
    assert!(kept.reload().is_none());
    write(folder.path(), true, true);
    assert!(matches!(kept.reload(), Some(Ok(()))));
    assert!(!Arc::ptr_eq(&before, &kept.current()));
    assert!(kept.reload().is_none());
}

#[test]
fn half_a_change_is_waited_for_and_a_lasting_failure_is_told_once() {
    let folder = folder();
    let kept = Kept::load(server(&folder)).expect("loaded");
    let before = kept.current();
    write(folder.path(), true, false);
    assert!(kept.reload().is_none(), "the key may follow");
    let told = kept.reload().expect("an outcome").expect_err("they do not fit");
    assert!(told.to_string().contains("cannot be used together"), "{told}");
    assert!(kept.reload().is_none(), "told once");
    assert!(Arc::ptr_eq(&before, &kept.current()), "the last good one stays");
    write(folder.path(), true, true);
    assert!(matches!(kept.reload(), Some(Ok(()))));
}

#[test]
fn what_is_wrong_with_a_file_is_told_with_its_setting_and_a_remedy() {
    let folder = folder();
    let file = |setting, name| File::new(setting, folder.path().join(name));
    let why = |server: Server| Kept::load(server).map(drop).expect_err("refused").to_string();
    let missing = why(Server { key: file("--tls", "no.key"), ..server(&folder) });
    assert!(missing.contains("no.key (--tls)") && missing.contains("is the path right"), "{missing}");
    let swapped = why(Server { key: file("--tls", "tls.crt"), ..server(&folder) });
    assert!(swapped.contains("are the two files swapped?"), "{swapped}");
    let ca = why(Server { clients: Some(file("--tls-client-ca", "tls.key")), ..server(&folder) });
    assert!(ca.contains("(--tls-client-ca) holds no certificate"), "{ca}");
    fs::write(
        folder.path().join("not.crt"),
        "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
    )
    .expect("written");
    let not = Client { authority: file("agent_tls.ca", "not.crt"), identity: None, protocols: &[] };
    let not = Kept::load(not).map(drop).expect_err("refused").to_string();
    assert!(not.contains("(agent_tls.ca) is no CA"), "{not}");
}
