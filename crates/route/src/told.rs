//! What programs and HTTP addresses are told: one form for both.

use serde::Serialize;

use crate::{Destination, Ends, Side, Traffic};

/// One action, as it is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Told {
    /// The form; a change that old readers would misread raises it.
    pub(crate) format: u32,
    /// `check`, `pause`, `point` or `resume`.
    pub(crate) action: &'static str,
    /// The same for every try of one action: `<migration>-<epoch>-<action>`.
    pub(crate) key: String,
    /// The migration.
    pub(crate) migration: String,
    /// The switch; 0 for a check.
    pub(crate) epoch: u64,
    /// With `pause`: how long to wait for transactions, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) within_ms: Option<u64>,
    /// With `point`: where to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) destination: Option<To>,
    /// With `point`: `writes`, `reads` or `tenant`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) traffic: Option<&'static str>,
    /// With the traffic `reads`: how much of them goes there, 0 to 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) percent: Option<u8>,
    /// With the traffic `tenant`: whose reads go there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tenant: Option<String>,
}

/// A side, as it is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct To {
    pub(crate) side: Side,
    pub(crate) url: String,
    pub(crate) host: Option<String>,
    pub(crate) port: Option<u16>,
    pub(crate) database: Option<String>,
}

impl Told {
    /// Whether all is well; nothing is to be changed.
    pub(crate) fn check(migration: &str) -> Told {
        Told::of("check", migration, 0)
    }

    /// Hold new transactions.
    pub(crate) fn pause(migration: &str, epoch: u64, within: std::time::Duration) -> Told {
        let within = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
        Told {
            within_ms: Some(within),
            ..Told::of("pause", migration, epoch)
        }
    }

    /// Let them go on.
    pub(crate) fn resume(migration: &str, epoch: u64) -> Told {
        Told::of("resume", migration, epoch)
    }

    /// Lead traffic to a side.
    pub(crate) fn point(to: &Destination, traffic: &Traffic) -> Told {
        let mut told = Told::of("point", &to.migration, to.epoch);
        let which = match traffic {
            Traffic::Writes => {
                told.traffic = Some("writes");
                "writes".to_owned()
            }
            Traffic::Reads { percent } => {
                told.traffic = Some("reads");
                told.percent = Some(*percent);
                format!("reads-{percent}")
            }
            Traffic::ReadsOfTenant(tenant) => {
                told.traffic = Some("tenant");
                told.tenant = Some(tenant.clone());
                format!("tenant-{}", in_header(tenant))
            }
        };
        told.key = format!("{}-{which}-{}", told.key, to.side);
        told.destination = Some(To {
            side: to.side,
            url: to.url_label.clone(),
            host: to.host.clone(),
            port: to.port,
            database: to.database.clone(),
        });
        told
    }

    fn of(action: &'static str, migration: &str, epoch: u64) -> Told {
        Told {
            format: 1,
            action,
            key: format!("{migration}-{epoch}-{action}"),
            migration: migration.to_owned(),
            epoch,
            within_ms: None,
            destination: None,
            traffic: None,
            percent: None,
            tenant: None,
        }
    }

    /// The same as environment variables. A value never holds a NUL: it would keep the program from being started.
    pub(crate) fn variables(&self, ends: &Ends) -> Vec<(&'static str, String)> {
        let mut all = vec![
            ("CROSSFADE_ACTION", self.action.to_owned()),
            ("CROSSFADE_KEY", self.key.clone()),
            ("CROSSFADE_MIGRATION", self.migration.clone()),
            ("CROSSFADE_EPOCH", self.epoch.to_string()),
            ("CROSSFADE_SOURCE_URL", ends.source.url_label.clone()),
            ("CROSSFADE_TARGET_URL", ends.target.url_label.clone()),
        ];
        let mut set = |name, value: Option<String>| {
            all.extend(value.map(|value| (name, value)));
        };
        set(
            "CROSSFADE_WITHIN_MS",
            self.within_ms.map(|ms| ms.to_string()),
        );
        set("CROSSFADE_TRAFFIC", self.traffic.map(str::to_owned));
        set(
            "CROSSFADE_PERCENT",
            self.percent.map(|percent| percent.to_string()),
        );
        set("CROSSFADE_TENANT", self.tenant.clone());
        if let Some(to) = &self.destination {
            set("CROSSFADE_SIDE", Some(to.side.to_string()));
            set("CROSSFADE_URL", Some(to.url.clone()));
            set("CROSSFADE_HOST", to.host.clone());
            set("CROSSFADE_PORT", to.port.map(|port| port.to_string()));
            set("CROSSFADE_DATABASE", to.database.clone());
        }
        for (_, value) in &mut all {
            value.retain(|letter| letter != '\0');
        }
        all
    }
}

/// Text as a header can carry it: letters, digits, `.`, `_` and `-` as they are, every other byte as `%XX`.
fn in_header(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b'-' => {
                out.push(char::from(byte))
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_tell_actions_apart() {
        let ends = Ends::default();
        let to = ends.destination(Side::Target, 7, "shop");
        let key = |traffic: Traffic| Told::point(&to, &traffic).key;
        assert_eq!(key(Traffic::Writes), "shop-7-point-writes-target");
        assert_eq!(
            key(Traffic::Reads { percent: 5 }),
            "shop-7-point-reads-5-target"
        );
        let tenant = Traffic::ReadsOfTenant("a b\r\n\u{e4}-1".to_owned());
        assert_eq!(
            key(tenant),
            "shop-7-point-tenant-a%20b%0D%0A%C3%A4-1-target"
        );
        assert_eq!(Told::resume("shop", 7).key, "shop-7-resume");
    }
}
