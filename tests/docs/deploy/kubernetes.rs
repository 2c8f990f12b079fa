//! Kubernetes objects of one namespace: whether they fit each other, and their containers the
//! program.

use super::containers::{Container, IMAGE};
use serde_json::Value;

/// All objects that are applied together.
pub struct Objects<'a>(pub Vec<&'a Value>);

/// One container of a workload.
pub struct Part<'a> {
    pub workload: &'a Value,
    pub container: &'a Value,
}

/// One probe of a container.
#[derive(Debug)]
pub struct Probe<'a> {
    pub image: &'a str,
    pub kind: &'static str,
    pub path: &'a str,
}

const PROBES: [&str; 3] = ["startupProbe", "livenessProbe", "readinessProbe"];

fn list(v: &Value) -> &[Value] {
    v.as_array().map_or(&[], Vec::as_slice)
}

fn text(v: &Value) -> &str {
    v.as_str().unwrap_or_default()
}

fn name(v: &Value) -> &str {
    text(&v["metadata"]["name"])
}

/// Whether all labels of a selector are among `labels`; an empty selector selects nothing here.
fn selects(selector: &Value, labels: &Value) -> bool {
    let Some(selector) = selector.as_object() else { return false };
    !selector.is_empty() && selector.iter().all(|(key, value)| labels[key] == *value)
}

impl<'a> Part<'a> {
    fn pod(&self) -> &'a Value {
        &self.workload["spec"]["template"]
    }

    fn label(&self) -> String {
        format!("{} {}: {}", text(&self.workload["kind"]), name(self.workload), text(&self.container["name"]))
    }

    fn image(&self) -> &'a str {
        text(&self.container["image"]).split(':').next().unwrap_or_default()
    }

    /// Whether it has the port of this number or name.
    fn has_port(&self, port: &Value) -> bool {
        list(&self.container["ports"]).iter().any(|p| p["name"] == *port || p["containerPort"] == *port)
    }

    fn probes(&self) -> impl Iterator<Item = (&'static str, &'a Value)> {
        let container = self.container;
        PROBES.iter().map(move |&kind| (kind, &container[kind])).filter(|(_, probe)| !probe.is_null())
    }

    /// The volume of a mount: a template's claim or one of the pod's.
    fn volume(&self, mount: &Value) -> Option<&'a Value> {
        let claims = list(&self.workload["spec"]["volumeClaimTemplates"]).iter().find(|c| name(c) == text(&mount["name"]));
        claims.or_else(|| list(&self.pod()["spec"]["volumes"]).iter().find(|v| v["name"] == mount["name"]))
    }
}

impl<'a> Objects<'a> {
    fn of(&self, kind: &str) -> impl Iterator<Item = &'a Value> {
        self.0.iter().copied().filter(move |o| text(&o["kind"]) == kind)
    }

    /// Containers of all workloads.
    pub fn parts(&self) -> Vec<Part<'a>> {
        let workloads = self.0.iter().copied().filter(|o| !o["spec"]["template"].is_null());
        let containers = |w: &'a Value| list(&w["spec"]["template"]["spec"]["containers"]).iter();
        workloads.flat_map(|w| containers(w).map(move |container| Part { workload: w, container })).collect()
    }

    pub fn probes(&self) -> Vec<Probe<'a>> {
        let of = |p: &Part<'a>| {
            let image = p.image();
            p.probes().map(move |(kind, probe)| Probe { image, kind, path: text(&probe["httpGet"]["path"]) }).collect::<Vec<_>>()
        };
        self.parts().iter().flat_map(of).collect()
    }

    /// What does not fit.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let parts = self.parts();
        for part in &parts {
            self.part(part, &mut faults);
            if part.image() == IMAGE {
                faults.extend(self.container(part).faults());
            }
        }
        if !parts.iter().any(|p| p.image() == IMAGE) {
            faults.push(format!("no container of the image {IMAGE}"));
        }
        self.services(&parts, &mut faults);
        let labels: Vec<&Value> = parts.iter().map(|p| &p.pod()["metadata"]["labels"]).collect();
        for budget in self.of("PodDisruptionBudget") {
            if !labels.iter().any(|l| selects(&budget["spec"]["selector"]["matchLabels"], l)) {
                faults.push(format!("PodDisruptionBudget {}: it selects no pod", name(budget)));
            }
        }
        for scaler in self.of("HorizontalPodAutoscaler") {
            let target = &scaler["spec"]["scaleTargetRef"];
            if !self.0.iter().any(|o| o["kind"] == target["kind"] && o["metadata"]["name"] == target["name"]) {
                faults.push(format!("HorizontalPodAutoscaler {}: no {} {}", name(scaler), target["kind"], target["name"]));
            }
        }
        faults
    }

    fn services(&self, parts: &[Part], faults: &mut Vec<String>) {
        for service in self.of("Service") {
            let behind: Vec<&Part> =
                parts.iter().filter(|p| selects(&service["spec"]["selector"], &p.pod()["metadata"]["labels"])).collect();
            if behind.is_empty() {
                faults.push(format!("Service {}: it selects no pod", name(service)));
            }
            for port in list(&service["spec"]["ports"]) {
                let target = if port["targetPort"].is_null() { &port["port"] } else { &port["targetPort"] };
                if !behind.iter().any(|p| p.has_port(target)) {
                    faults.push(format!("Service {}: no pod after it has the port {target}", name(service)));
                }
            }
        }
    }

    /// What any container needs.
    fn part(&self, part: &Part, faults: &mut Vec<String>) {
        let mut need = |ok: bool, what: String| {
            if !ok {
                faults.push(format!("{}: {what}", part.label()));
            }
        };
        let (pod, security) = (part.pod(), &part.container["securityContext"]);
        need(
            selects(&part.workload["spec"]["selector"]["matchLabels"], &pod["metadata"]["labels"]),
            "the selector does not fit the labels of its pods".into(),
        );
        need(security["readOnlyRootFilesystem"] == true, "its root file system can be written to".into());
        need(security["allowPrivilegeEscalation"] == false, "it may gain privileges".into());
        need(pod["spec"]["securityContext"]["runAsNonRoot"] == true, "it may run as root".into());
        for (kind, probe) in part.probes() {
            let port = &probe["httpGet"]["port"];
            need(part.has_port(port), format!("{kind}: it has no port {port}"));
        }
        for mount in list(&part.container["volumeMounts"]) {
            let volume = part.volume(mount);
            need(volume.is_some(), format!("no volume is called {}", mount["name"]));
            let config = volume.map_or("", |v| text(&v["configMap"]["name"]));
            let known = config.is_empty() || self.of("ConfigMap").any(|c| name(c) == config);
            need(known, format!("no ConfigMap {config}"));
        }
    }

    fn container(&self, part: &Part) -> Container {
        let user = &part.pod()["spec"]["securityContext"]["runAsUser"];
        let path = |m: &Value| text(&m["mountPath"]).to_string();
        // what a secret or a ConfigMap holds cannot be written
        let (writable, readable): (Vec<&Value>, Vec<&Value>) = list(&part.container["volumeMounts"]).iter().partition(|m| {
            m["readOnly"] != true && part.volume(m).is_some_and(|v| v["secret"].is_null() && v["configMap"].is_null())
        });
        let hosts = |s: &Value| {
            let name = name(s).to_string();
            list(&s["spec"]["ports"]).iter().map(move |p| format!("{name}:{}", p["port"])).collect::<Vec<_>>()
        };
        Container {
            name: part.label(),
            args: list(&part.container["args"]).iter().map(|a| text(a).to_string()).collect(),
            read_only: part.container["securityContext"]["readOnlyRootFilesystem"] == true,
            writable: writable.into_iter().map(path).collect(),
            readable: readable.into_iter().map(path).collect(),
            ports: list(&part.container["ports"]).iter().filter_map(|p| p["containerPort"].as_u64()).collect(),
            hosts: self.of("Service").flat_map(hosts).collect(),
            users: vec![user.to_string()],
        }
    }
}
