//! However the file is edited, the edit is noticed.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::wait_for_strategy;
use crate::support::{OK, Origin, Proxy, Yaml, free_address, replace};

fn yaml(strategy: &str, origin: &Origin) -> String {
    Yaml::of(strategy, &[origin]).to_string()
}

#[test]
fn a_file_renamed_over_the_config_takes_effect() {
    let origin = Origin::answering(OK);
    let proxy = Proxy::watching(&yaml("round_robin", &origin));
    proxy.edit(&yaml("random", &origin));
    wait_for_strategy(&proxy, "random");
    proxy.edit(&yaml("p2c", &origin));
    wait_for_strategy(&proxy, "p2c");
}

#[test]
fn a_config_written_in_place_takes_effect() {
    let origin = Origin::answering(OK);
    let proxy = Proxy::watching(&yaml("round_robin", &origin));
    fs::write(proxy.path(), yaml("random", &origin)).expect("write");
    wait_for_strategy(&proxy, "random");
}

#[test]
fn a_config_that_was_removed_and_written_again_takes_effect() {
    let origin = Origin::answering(OK);
    let proxy = Proxy::watching(&yaml("round_robin", &origin));
    fs::remove_file(proxy.path()).expect("remove");
    proxy.admin_when("/api/v1/status", |status| !status["last_refusal"].is_null());
    assert_eq!(proxy.get("/").text(), "ok");
    fs::write(proxy.path(), yaml("random", &origin)).expect("write");
    wait_for_strategy(&proxy, "random");
}

/// Writes a version as the kubelet does: a directory of its own, and `..data` swapped to it.
fn publish(volume: &Path, version: &str, config: &str) {
    let directory = volume.join(version);
    fs::create_dir(&directory).expect("a directory");
    fs::write(directory.join("config.yaml"), config).expect("write");
    symlink(version, volume.join("..data_tmp")).expect("link");
    fs::rename(volume.join("..data_tmp"), volume.join("..data")).expect("swap");
}

#[test]
fn a_config_map_that_kubernetes_swaps_takes_effect() {
    let (origin, volume) = (Origin::answering(OK), tempfile::tempdir().expect("a directory"));
    publish(volume.path(), "..1", &yaml("round_robin", &origin));
    symlink("..data/config.yaml", volume.path().join("config.yaml")).expect("link");
    let proxy = Proxy::watching_file(&volume.path().join("config.yaml"));
    for (version, strategy) in [("..2", "random"), ("..3", "p2c"), ("..4", "weighted")] {
        publish(volume.path(), version, &yaml(strategy, &origin));
        wait_for_strategy(&proxy, strategy);
    }
}

#[test]
fn a_config_map_reached_by_a_link_from_elsewhere_takes_effect() {
    let (origin, volume) = (Origin::answering(OK), tempfile::tempdir().expect("a directory"));
    let etc = tempfile::tempdir().expect("a directory");
    publish(volume.path(), "..1", &yaml("round_robin", &origin));
    symlink("..data/config.yaml", volume.path().join("config.yaml")).expect("link");
    symlink(volume.path().join("config.yaml"), etc.path().join("tillgate.yaml")).expect("link");
    let proxy = Proxy::watching_file(&etc.path().join("tillgate.yaml"));
    for (version, strategy) in [("..2", "random"), ("..3", "p2c")] {
        publish(volume.path(), version, &yaml(strategy, &origin));
        wait_for_strategy(&proxy, strategy);
    }
}

#[test]
fn a_link_is_followed_to_where_it_was_moved() {
    let (origin, root) = (Origin::answering(OK), tempfile::tempdir().expect("a directory"));
    let [etc, blue, green] = ["etc", "blue", "green"].map(|name| root.path().join(name));
    for directory in [&etc, &blue, &green] {
        fs::create_dir(directory).expect("a directory");
    }
    let (link, next) = (etc.join("tillgate.yaml"), etc.join("next"));
    fs::write(blue.join("shop.yaml"), yaml("round_robin", &origin)).expect("write");
    symlink(blue.join("shop.yaml"), &link).expect("link");
    let proxy = Proxy::watching_file(&link);

    replace(&blue.join("shop.yaml"), &yaml("random", &origin));
    wait_for_strategy(&proxy, "random");
    fs::write(green.join("shop.yaml"), yaml("p2c", &origin)).expect("write");
    symlink(green.join("shop.yaml"), &next).expect("link");
    fs::rename(&next, &link).expect("swap");
    wait_for_strategy(&proxy, "p2c");
    replace(&green.join("shop.yaml"), &yaml("weighted", &origin));
    wait_for_strategy(&proxy, "weighted");
}

#[test]
fn a_text_that_was_refused_for_a_port_in_use_is_read_again_when_the_file_is_touched() {
    let origin = Origin::answering(OK);
    let proxy = Proxy::watching(&yaml("round_robin", &origin));
    let address = free_address();
    let taken = TcpListener::bind(address).expect("bind");
    let both = format!("web: {{ address: \"127.0.0.1:0\" }}, more: {{ address: \"{address}\" }}");
    let edited = Yaml::of("random", &[&origin]).listeners(&both).to_string();
    proxy.edit(&edited);
    proxy.admin_when("/api/v1/status", |status| !status["last_refusal"].is_null());
    drop(taken);
    proxy.edit(&edited);
    wait_for_strategy(&proxy, "random");
}

#[test]
fn a_config_whose_directory_was_removed_and_made_again_takes_effect() {
    let (origin, root) = (Origin::answering(OK), tempfile::tempdir().expect("a directory"));
    let etc = root.path().join("etc").join("tillgate");
    let path = etc.join("tillgate.yaml");
    fs::create_dir_all(&etc).expect("a directory");
    fs::write(&path, yaml("round_robin", &origin)).expect("write");
    let proxy = Proxy::watching_file(&path);
    fs::remove_dir_all(root.path().join("etc")).expect("remove");
    proxy.admin_when("/api/v1/status", |status| !status["last_refusal"].is_null());
    fs::create_dir_all(&etc).expect("a directory");
    fs::write(&path, yaml("random", &origin)).expect("write");
    wait_for_strategy(&proxy, "random");
    replace(&path, &yaml("p2c", &origin));
    wait_for_strategy(&proxy, "p2c");
}
