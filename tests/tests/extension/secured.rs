//! Who may call the hooks, and how Envoy connects to a picker that shows a certificate.

use std::net::SocketAddr;

use warmlane_router::{
    config::Config,
    extension::{ExtensionTls, PickerTls},
    tls::Identity,
};
use warmlane_tests::tls::{Authority, Issued};

use super::*;

/// The name of the picker's Service.
const PICKER: &str = "picker.default.svc.localhost";

fn secured(shown: &Issued, client_ca: &Authority) -> impl FnOnce(&mut Config) {
    let (pair, client_ca) = (shown.pair(), client_ca.file());
    move |config| {
        config.extension_tls = ExtensionTls { certificate: pair.certificate, key: pair.key, client_ca };
    }
}

fn server(picker: &TestPicker) -> SocketAddr {
    picker.router.listening().extension.expect("an extension server")
}

#[test]
fn only_callers_with_a_certificate_of_the_ca_are_served() {
    let (servers, callers, others) = (Authority::new(), Authority::new(), Authority::new());
    let picker = picker(secured(&servers.issue("localhost"), &callers));
    let pool = pool(&picker, "FailOpen");
    let call = |shown: Option<&Issued>| {
        EnvoyGateway::connect_by_tls(server(&picker), &servers, shown)?
            .cluster(&pool)
            .map_err(|e| e.to_string())
    };
    assert!(call(Some(&callers.issue("envoy-gateway"))).is_ok());
    for refused in [call(None), call(Some(&others.issue("envoy-gateway")))] {
        assert!(refused.is_err(), "nobody knows it");
    }
}

#[test]
fn a_pickers_certificate_is_checked_for_its_service() {
    let (own, foreign) = (Authority::new(), Authority::new());
    let shown = own.issue(PICKER);
    let scene = |ca: &Authority| {
        let picker = picker(|config| {
            config.ext_proc.tls = Identity::Files(shown.pair());
            config.extension.picker_tls = PickerTls::Authority(ca.file());
        });
        let pool = pool(&picker, "FailClose");
        Scene::unchecked(picker, &pool)
    };
    let good = scene(&own);
    good.wait_for_picker(true);
    assert_eq!(by(&good.chat()), 1);
    let bad = scene(&foreign);
    bad.wait_for_picker(false);
    assert_eq!(bad.chat().status, 503);
}
