//! However the file is edited, the edit is noticed.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::wait_for_strategy;
use crate::support::{OK, Origin, Proxy, Yaml, replace};

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
