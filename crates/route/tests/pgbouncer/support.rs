//! A PgBouncer of a test's own, before two databases on two servers.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::Duration;

use crossfade_route::{
    End, Ends, PgBouncerConfig, PgBouncerEntry, Route, RouteConfig, RouteKind, Side,
};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};
use xtask::servers::account::Account;
use xtask::servers::port;

/// A session that runs until it is dropped.
pub async fn connect(url: &str) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// The first column of the first row.
pub async fn value(client: &Client, sql: &str) -> String {
    let messages = client.simple_query(sql).await.expect("query");
    let row = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    row.expect("a row").to_owned()
}

/// One server's database, made for one test.
pub struct Database {
    admin: Client,
    pub url: String,
    pub port: u16,
    pub name: String,
}

impl Database {
    async fn make(variable: &str, name: &str) -> Database {
        let server = std::env::var(variable).expect("run by `cargo xtask test`");
        let admin = connect(&server).await.expect("server");
        for sql in [
            format!("drop database if exists {name} with (force)"),
            format!("create database {name}"),
        ] {
            admin.simple_query(&sql).await.expect("made");
        }
        let base = server.rsplit_once('/').expect("a URL").0;
        let url = format!("{base}/{name}");
        let own = connect(&url).await.expect("database");
        own.simple_query(
            "create table written (client int, number int, primary key (client, number))",
        )
        .await
        .expect("table");
        let port = base.rsplit_once(':').expect("a port").1;
        Database {
            admin,
            port: port.parse().expect("a number"),
            name: name.to_owned(),
            url,
        }
    }

    pub async fn count(&self) -> u64 {
        let own = connect(&self.url).await.expect("database");
        value(&own, "select count(*) from written")
            .await
            .parse()
            .expect("number")
    }

    /// Server processes of this database that run something or have a transaction open.
    pub async fn busy(&self) -> String {
        let sql = format!(
            "select count(*) from pg_stat_activity where datname = '{}' and state is distinct from 'idle'",
            self.name
        );
        value(&self.admin, &sql).await
    }

    pub async fn clean(&self) {
        let sql = format!("drop database if exists {} with (force)", self.name);
        let _ = self.admin.simple_query(&sql).await;
    }
}

pub struct Bouncer {
    folder: tempfile::TempDir,
    pub port: u16,
    child: Option<Child>,
    pub source: Database,
    pub target: Database,
}

impl Bouncer {
    /// Starts one whose database `shop` leads to the source. `name` is the test's, `settings` are further lines.
    pub async fn start(name: &str, settings: &str) -> Bouncer {
        let source = Database::make("CROSSFADE_TEST_PG17", &format!("route_{name}_a")).await;
        let target = Database::make("CROSSFADE_TEST_PG18", &format!("route_{name}_b")).await;
        let folder = tempfile::Builder::new()
            .prefix("crossfade-pgbouncer-")
            .tempdir_in("/var/tmp")
            .expect("folder");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o711)).expect("mode");
        let account = Account::current().expect("account");
        account.own(folder.path()).expect("owner");
        let mut bouncer = Bouncer {
            folder,
            port: port::free().expect("port"),
            child: None,
            source,
            target,
        };
        let text = format!(
            "; kept as it is\n[databases]\nshop = host=127.0.0.1 port={} dbname={} pool_size=10\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {}\nunix_socket_dir =\nauth_type = trust\nauth_file = users.txt\n\
             admin_users = admin\nstats_users = watcher\nserver_login_retry = 1\npool_mode = transaction\n{settings}\n",
            bouncer.source.port, bouncer.source.name, bouncer.port,
        );
        for (file, text) in [
            ("pgbouncer.ini", text.as_str()),
            (
                "users.txt",
                "\"admin\" \"\"\n\"watcher\" \"\"\n\"postgres\" \"\"\n",
            ),
        ] {
            let path = bouncer.folder.path().join(file);
            fs::write(&path, text).expect("written");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("mode");
            account.own(&path).expect("owner");
        }
        bouncer.run().await;
        bouncer
    }

    pub async fn run(&mut self) {
        let program = std::env::var("CROSSFADE_TEST_PGBOUNCER").expect("run by `cargo xtask test`");
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join("log"))
            .expect("log");
        // it ends with the test's thread, however that ends
        let child = Account::current()
            .expect("account")
            .command("setpriv")
            .args(["--pdeathsig", "KILL"])
            .arg(program)
            .arg("pgbouncer.ini")
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("log"))
            .stderr(log)
            .spawn()
            .expect("started");
        self.child = Some(child);
        for _ in 0..500 {
            if connect(&self.admin_url("admin")).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("PgBouncer did not start: {}", self.log());
    }

    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("killed");
            child.wait().expect("ended");
        }
    }

    pub fn ini(&self) -> PathBuf {
        self.folder.path().join("pgbouncer.ini")
    }

    pub fn text(&self) -> String {
        fs::read_to_string(self.ini()).expect("ini")
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    pub fn admin_url(&self, user: &str) -> String {
        format!("postgres://{user}@127.0.0.1:{}/pgbouncer", self.port)
    }

    pub async fn client(&self) -> Client {
        let url = format!("postgres://postgres@127.0.0.1:{}/shop", self.port);
        connect(&url).await.expect("client")
    }

    pub fn ends(&self) -> Ends {
        let end = |database: &Database| End {
            url_label: format!("postgres://…/{}", database.name),
            host: Some("127.0.0.1".to_owned()),
            port: Some(database.port),
            database: Some(database.name.clone()),
        };
        Ends {
            source: end(&self.source),
            target: end(&self.target),
        }
    }

    pub fn config(&self) -> PgBouncerConfig {
        PgBouncerConfig {
            admin: self.admin_url("admin"),
            database: "shop".to_owned(),
            reads_database: None,
            config: self.ini(),
            end_clients: false,
            source: PgBouncerEntry::default(),
            target: PgBouncerEntry::default(),
        }
    }

    pub fn route(&self) -> Box<dyn Route> {
        self.route_of(self.config())
    }

    pub fn route_of(&self, config: PgBouncerConfig) -> Box<dyn Route> {
        let config = RouteConfig {
            routes: vec![RouteKind::PgBouncer(config)],
        };
        crossfade_route::open(&config, "shop", &self.ends())
            .expect("opened")
            .remove(0)
    }

    pub fn to(&self, side: Side, epoch: u64) -> crossfade_route::Destination {
        self.ends().destination(side, epoch, "shop")
    }

    /// Ends it and removes its databases.
    pub async fn finish(mut self) {
        self.kill();
        self.source.clean().await;
        self.target.clean().await;
    }
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        self.kill();
    }
}
