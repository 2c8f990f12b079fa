//! Services of a compose file.

use super::containers::{Container, IMAGE};
use serde_json::Value;

/// What does not fit in a compose file.
pub fn faults(file: &Value) -> Vec<String> {
    let empty = serde_json::Map::new();
    let map = |key: &str| file[key].as_object().unwrap_or(&empty);
    let services = map("services");
    let mut faults = Vec::new();
    // NATS listens on its own port in any container; a service of this image is found by its name,
    // too
    let hosts: Vec<String> = services.keys().map(|name| format!("{name}:4222")).collect();
    for (name, service) in services {
        for other in strings(&service["depends_on"]) {
            if !services.contains_key(&other) {
                faults.push(format!("{name}: depends_on: no service `{other}`"));
            }
        }
        let volumes: Vec<Vec<String>> =
            strings(&service["volumes"]).iter().map(|v| v.split(':').map(String::from).collect()).collect();
        for volume in volumes.iter().filter(|v| v.len() > 1 && !v[0].contains('/') && !map("volumes").contains_key(&v[0])) {
            faults.push(format!("{name}: volumes: `{}` is not declared", volume[0]));
        }
        if service["image"].as_str().map(|i| i.split(':').next().unwrap_or(i)) == Some(IMAGE) {
            faults.extend(container(name, service, &volumes, &hosts).faults());
        }
    }
    if !services.values().any(|s| s["image"].as_str().is_some_and(|i| i.starts_with(IMAGE))) {
        faults.push(format!("no service of the image {IMAGE}"));
    }
    faults
}

fn container(name: &str, service: &Value, volumes: &[Vec<String>], hosts: &[String]) -> Container {
    let tmpfs = strings(&service["tmpfs"]);
    // PATH:OPTION=VALUE,…
    let folder = |t: &String| t.split(':').next().unwrap_or_default().to_string();
    let owner = |t: &String| {
        let options = t.split_once(':').map_or("", |(_, options)| options);
        // without one it is root's
        options.split(',').find_map(|o| o.strip_prefix("uid=")).unwrap_or("0").to_string()
    };
    let (readable, writable): (Vec<_>, Vec<_>) =
        volumes.iter().filter(|v| v.len() > 1).partition(|v| v.get(2).is_some_and(|mode| mode.contains("ro")));
    let mounted = |v: Vec<&Vec<String>>| v.into_iter().map(|v| v[1].clone()).collect::<Vec<_>>();
    Container {
        name: name.into(),
        args: strings(&service["command"]),
        read_only: service["read_only"] == true,
        writable: tmpfs.iter().map(folder).chain(mounted(writable)).collect(),
        readable: mounted(readable),
        // [ADDRESS:][PORT:]PORT
        ports: strings(&service["ports"]).iter().filter_map(|p| p.rsplit(':').next()?.parse().ok()).collect(),
        hosts: hosts.to_vec(),
        users: tmpfs.iter().map(owner).collect(),
    }
}

/// A string or a list of them.
fn strings(v: &Value) -> Vec<String> {
    let text = |v: &Value| v.as_str().map_or_else(|| v.to_string(), String::from);
    match v {
        Value::Null => Vec::new(),
        Value::Array(list) => list.iter().map(text).collect(),
        one => vec![text(one)],
    }
}
