#![allow(clippy::unwrap_used)]

use super::*;
use crate::file::{FileError, MigrationFile, parse};

fn read(body: &str) -> Result<MigrationFile, FileError> {
    let head =
        "[migration]\nname = \"m\"\n[source]\nurl = \"sqlite:a\"\n[target]\nurl = \"sqlite:b\"\n";
    parse("m.toml", &format!("{head}{body}"), &|name| {
        (name == "TOKEN").then(|| "geheim/1".to_owned())
    })
}

const ALL: &str = r#"
[[route]]
kind = "pgbouncer"
admin = "postgres://admin:${TOKEN}@pooler:6432/pgbouncer"
database = "shop"
config = "/etc/pgbouncer/pgbouncer.ini"
target = { host = "10.0.0.2", port = 5433 }

[[route]]
kind = "webhook"
url = "https://example.org/${TOKEN}"
headers = { Authorization = "Bearer ${TOKEN}" }
ca_file = "ca.pem"
retries = 0

[[route]]
kind = "exec"
command = ["/usr/local/bin/move", "--token", "${TOKEN}"]
timeout_seconds = 30

[[route]]
kind = "file"
path = "route.json"
"#;

#[test]
fn every_kind_is_read_in_order() {
    let file = read(ALL).unwrap();
    let [bouncer, webhook, exec, RouteSection::File { path }] = &file.routes[..] else {
        panic!("{file:?}");
    };
    assert_eq!(path, "route.json");
    let RouteSection::PgBouncer {
        admin,
        database,
        reads_database: None,
        config,
        end_clients: false,
        source,
        target,
    } = bouncer
    else {
        panic!("{bouncer:?}");
    };
    assert_eq!(
        admin.expose(),
        "postgres://admin:geheim%2F1@pooler:6432/pgbouncer"
    );
    assert_eq!(
        (database.as_str(), config.as_str()),
        ("shop", "/etc/pgbouncer/pgbouncer.ini")
    );
    assert_eq!(*source, RouteAddress::default());
    assert_eq!(
        (target.host.as_deref(), target.port, &target.dbname),
        (Some("10.0.0.2"), Some(5433), &None)
    );
    let RouteSection::Webhook {
        url,
        headers,
        ca_file: Some(ca_file),
        timeout_seconds: 10,
        retries: 0,
    } = webhook
    else {
        panic!("{webhook:?}");
    };
    assert_eq!(url.expose(), "https://example.org/geheim/1");
    assert_eq!(ca_file, "ca.pem");
    assert_eq!(headers[0].0, "Authorization");
    assert_eq!(headers[0].1.expose(), "Bearer geheim/1");
    let RouteSection::Exec {
        command,
        timeout_seconds: 30,
        retries: 3,
    } = exec
    else {
        panic!("{exec:?}");
    };
    assert_eq!(command[2].expose(), "geheim/1");
    assert!(!format!("{file:?}").contains("geheim"));
    assert_eq!(read("").unwrap().routes, []);
    let one = read("[route]\nkind = \"file\"\npath = \"a\"\n").unwrap();
    assert_eq!(
        one.routes,
        [RouteSection::File {
            path: "a".to_owned()
        }]
    );
}

#[test]
fn what_is_wrong_is_shown_in_its_place() {
    for (body, what, line) in [
        ("[route]\n", "[route] has no `kind`", 7),
        (
            "[route]\nkind = \"pgbounce\"\n",
            "did you mean `pgbouncer`?",
            8,
        ),
        (
            "[route]\nkind = \"file\"\npaht = \"a\"\n",
            "did you mean `path`?",
            9,
        ),
        (
            "[route]\nkind = \"file\"\npath = \" \"\n",
            "`path` is empty",
            9,
        ),
        (
            "[route]\nkind = \"exec\"\ncommand = \"a b\"\n",
            "there is no shell",
            9,
        ),
        (
            "[route]\nkind = \"exec\"\ncommand = []\n",
            "list of strings",
            9,
        ),
        (
            "[route]\nkind = \"exec\"\ncommand = [\"a\", 1]\n",
            "an entry of `command`",
            9,
        ),
        (
            "[route]\nkind = \"exec\"\ncommand = [\"a\"]\nretries = 11\n",
            "from 0 to 10",
            10,
        ),
        (
            "[route]\nkind = \"exec\"\ncommand = [\"a\"]\ntimeout_seconds = 0\n",
            "from 1 to 60",
            10,
        ),
        (
            "[route]\nkind = \"webhook\"\nurl = \"https://a/${NONE}\"\n",
            "NONE is not set",
            9,
        ),
        (
            "[route]\nkind = \"webhook\"\nurl = \"https://a\"\nheaders = { Idempotency-Key = \"a\" }\n",
            "set by crossfade",
            10,
        ),
        (
            "[route]\nkind = \"webhook\"\nurl = \"https://a\"\nheaders = { A = 1 }\n",
            "a header is to be a string",
            10,
        ),
    ] {
        let error = read(body).unwrap_err();
        let found = error.problems.iter().any(|problem| {
            let fix = problem.fix.as_deref().unwrap_or_default();
            problem.line == line && format!("{} / {fix}", problem.what).contains(what)
        });
        assert!(found, "{body}: {error}");
    }
}

#[test]
fn a_pgbouncer_s_problems_are_all_told() {
    let body = "[route]\nkind = \"pgbouncer\"\nend_clients = \"yes\"\nsource = { host = \"\", port = 0, name = \"x\" }\n";
    let problems = read(body).unwrap_err().problems;
    let said: Vec<&str> = problems
        .iter()
        .map(|problem| problem.what.as_str())
        .collect();
    for what in [
        "[route] has no `admin`",
        "[route] has no `database`",
        "[route] has no `config`",
        "`end_clients` is to be true or false, this is a string",
        "`port` is to be a whole number from 1 to 65535",
        "unknown key `name` in `source` of a route",
        "`host` is empty",
    ] {
        assert!(said.contains(&what), "{what} in {said:?}");
    }
    let port = "[route]\nkind = \"pgbouncer\"\nadmin = \"a\"\ndatabase = \"a\"\nconfig = \"a\"\ntarget = { port = 70000 }\n";
    assert_eq!(read(port).unwrap_err().problems.len(), 1);
}
