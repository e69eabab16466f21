//! One seed, from empty databases to the comparison.

use std::thread::sleep;
use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use tempfile::TempDir;

use super::place::Place;
use super::plan::{Disturbance, Plan, Side};
use super::proxy::Proxy;
use super::{Tally, capture, control::Servers};
use crate::binary::{Outcome, Running};
use crate::compare;
use crate::database::{Database, Engine};
use crate::mysql::MysqlDatabase;
use crate::patience::LONG;
use crate::seed::generator;
use crate::shop::{self, Tables};
use crate::trial::Trial;
use crate::workload::{Options, Writers};

/// How long a process may take to pass the point at which it is to die; it may never pass it.
const REACH: Duration = Duration::from_secs(5);

struct Chaos<'a> {
    plan: &'a Plan,
    random: StdRng,
    servers: Option<Servers>,
    tally: &'a mut Tally,
    running: Option<Running>,
    writers: Option<Writers>,
    writers_started: u64,
    trial: Trial,
    ways: [Option<Proxy>; 2],
    // after the trial: its databases go before the disk that they lie on
    place: Place,
}

/// Runs a plan.
///
/// # Panics
/// When the product ends as it should not, or the two sides differ at the end.
pub fn run(plan: &Plan, servers: Option<Servers>, tally: &mut Tally) {
    let folder = TempDir::with_prefix("crossfade-chaos-").expect("a temporary folder");
    let source = Database::create(plan.source, folder.path(), "source");
    let wants_disk = plan.disturbances.contains(&Disturbance::FullDisk);
    let place = Place::new(plan.target, wants_disk);
    let target = place.database(plan.target, folder.path());
    let mut trial = Trial::between(folder, source, target);
    for (name, value) in &plan.options {
        trial = trial.option(name, *value);
    }
    if plan.asynchronous_commit {
        let name = trial.source.postgres().name();
        let sql = format!("ALTER DATABASE {name} SET synchronous_commit = off");
        trial.source.run(&sql);
    }
    let tables = Tables::between(trial.source.dialect(), trial.target.dialect());
    shop::make(&trial.source, tables, plan.rows, plan.seed);
    let (trial, ways) = by_proxies(plan, trial);
    let mut chaos = Chaos {
        plan,
        random: generator(plan.seed, 2_000),
        servers,
        tally,
        running: None,
        writers: None,
        writers_started: 0,
        trial,
        ways,
        place,
    };
    chaos.start_writers();
    for disturbance in &plan.disturbances {
        eprintln!("  {disturbance:?}");
        chaos.disturb(*disturbance);
    }
    chaos.end();
}

/// The trial with a proxy before each server, where the plan has it that a way to one fails.
fn by_proxies(plan: &Plan, trial: Trial) -> (Trial, [Option<Proxy>; 2]) {
    let fails =
        |one: &Disturbance| matches!(one, Disturbance::CutOff { .. } | Disturbance::Dropped(_));
    if !plan.disturbances.iter().any(fails) {
        return (trial, [None, None]);
    }
    let mut ways = [None, None];
    let mut urls = trial.roles();
    for (i, engine) in [plan.source, plan.target].into_iter().enumerate() {
        if !engine.is_sqlite() {
            let (proxy, url) = Proxy::to(&urls[i]);
            urls[i] = url;
            ways[i] = Some(proxy);
        }
    }
    let [source, target] = urls;
    (trial.by_way_of(source, target), ways)
}

impl Chaos<'_> {
    fn tables(&self) -> Tables {
        Tables::between(self.trial.source.dialect(), self.trial.target.dialect())
    }

    fn start_writers(&mut self) {
        let mut options = Options::new(self.tables(), self.plan.rows);
        options.big = 1_500;
        self.writers_started += 1;
        let seed = self.plan.seed * 100 + self.writers_started;
        self.writers = Some(self.trial.writers(options, seed));
    }

    /// The process at work; it must not have ended by itself.
    fn at_work(&mut self) -> &mut Running {
        if let Some(running) = self.running.as_mut()
            && !running.is_running()
        {
            let outcome = self.ended();
            panic!("ended by itself:\n{}", outcome.text());
        }
        let trial = &self.trial;
        self.running.get_or_insert_with(|| trial.start(&["run"]))
    }

    /// The process at work, once it has begun: before that it only looks at both sides, and a database that is away is an
    /// error.
    fn begun(&mut self) {
        self.at_work();
        crate::patience::wait_until("the run begins", LONG, || {
            let said = self.at_work().stderr_so_far();
            said.lines().any(|line| line.starts_with("run "))
        });
    }

    fn ended(&mut self) -> Outcome {
        self.running.take().expect("there was a process").wait(LONG)
    }

    fn kill(&mut self) {
        // whatever it said or did before, it must have been at work until now
        self.at_work();
        if let Some(running) = self.running.take() {
            running.kill();
        }
    }

    fn engine(&self, side: Side) -> (Engine, &Database) {
        match side {
            Side::Source => (self.plan.source, &self.trial.source),
            Side::Target => (self.plan.target, &self.trial.target),
        }
    }

    fn disturb(&mut self, disturbance: Disturbance) {
        match disturbance {
            Disturbance::KillPoint { point, count } => self.kill_at(point, count),
            Disturbance::KillAfter(pause) => {
                self.at_work();
                sleep(Duration::from_millis(pause));
                self.kill();
                self.tally.count("killed at a random time");
            }
            Disturbance::InterruptAfter(pause) => {
                // before that Ctrl-C ends it as it ends any program
                self.begun();
                sleep(Duration::from_millis(pause));
                self.at_work().interrupt();
                self.ended().expect(0);
                self.tally.count("interrupted");
            }
            Disturbance::FreezeFor(pause) => {
                self.at_work().freeze();
                sleep(Duration::from_millis(pause));
                self.at_work().go_on();
                self.tally.count("frozen");
            }
            Disturbance::Server { side, how, away } => self.server_down(side, how, away),
            Disturbance::Sessions(side) => self.end_sessions(side),
            Disturbance::CutOff { side, away } => self.cut_off(side, away),
            Disturbance::Dropped(side) => self.drop_connections(side),
            Disturbance::KillWriter => {
                self.at_work();
                sleep(Duration::from_millis(300));
                drop(self.writers.take());
                self.start_writers();
                self.tally.count("application killed");
            }
            Disturbance::FullDisk => self.fill_disk(),
            Disturbance::LoseCapture => self.lose_capture(),
        }
    }

    fn kill_at(&mut self, point: &'static str, count: u32) {
        if self.running.is_some() {
            self.kill();
        }
        let armed = format!("{point}:{count}");
        let mut running = self
            .trial
            .start_with(&["run"], &[("CROSSFADE_KILL", &armed)]);
        let begun = std::time::Instant::now();
        while running.is_running() && begun.elapsed() < REACH {
            sleep(Duration::from_millis(20));
        }
        let reached = !running.is_running();
        let outcome = running.kill();
        if reached {
            assert!(
                outcome.code.is_none(),
                "ended by itself before {point}:\n{}",
                outcome.text()
            );
            self.tally.count(point);
        } else {
            self.tally.count("points never reached");
        }
    }

    fn server_down(&mut self, side: Side, how: super::control::Down, away: u64) {
        let Some(servers) = self.servers else {
            self.tally
                .count("skipped: nobody to ask for a server's end");
            return;
        };
        self.begun();
        sleep(Duration::from_millis(self.random.random_range(0..2_000)));
        let (engine, _) = self.engine(side);
        servers.stop(engine, how);
        sleep(Duration::from_millis(away));
        servers.start(engine);
        sleep(Duration::from_millis(1_000));
        self.at_work();
        self.tally.count("server down");
    }

    fn end_sessions(&mut self, side: Side) {
        self.begun();
        for _ in 0..3 {
            sleep(Duration::from_millis(self.random.random_range(50..800)));
            let share = self.random.random_range(30..=100);
            let mut draws = generator(self.plan.seed, self.random.random());
            let (_, database) = self.engine(side);
            let ended = match database {
                Database::Mysql(mysql) => end_some_on_mysql(mysql, side, share, &mut draws),
                _ => {
                    // the product names its sessions
                    let sql = format!(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                         WHERE datname = current_database() AND application_name LIKE 'crossfade%'
                           AND random() * 100 < {share}"
                    );
                    database.rows(&sql).len()
                }
            };
            self.tally.add("sessions ended", ended);
        }
        self.at_work();
    }

    fn way(&self, side: Side) -> &Proxy {
        let way = match side {
            Side::Source => &self.ways[0],
            Side::Target => &self.ways[1],
        };
        way.as_ref().expect("made for this plan")
    }

    fn cut_off(&mut self, side: Side, away: u64) {
        self.begun();
        sleep(Duration::from_millis(self.random.random_range(0..2_000)));
        self.way(side).cut(true);
        sleep(Duration::from_millis(away));
        self.way(side).cut(false);
        sleep(Duration::from_millis(500));
        self.at_work();
        self.tally.count("cut off");
    }

    fn drop_connections(&mut self, side: Side) {
        self.begun();
        for _ in 0..3 {
            sleep(Duration::from_millis(self.random.random_range(50..800)));
            let dropped = self.way(side).drop_all();
            self.tally.add("connections dropped", dropped);
        }
        sleep(Duration::from_millis(500));
        self.at_work();
    }

    fn fill_disk(&mut self) {
        self.at_work();
        sleep(Duration::from_millis(self.random.random_range(0..2_000)));
        let Some(disk) = self.place.disk() else {
            self.tally.count("skipped: no small disk can be mounted");
            return;
        };
        disk.fill();
        let begun = std::time::Instant::now();
        let running = self.running.as_mut().expect("at work");
        while running.is_running() && begun.elapsed() < Duration::from_secs(8) {
            sleep(Duration::from_millis(50));
        }
        let stopped = !running.is_running();
        disk.free();
        if stopped {
            let outcome = self.ended().expect(1);
            let said = format!("{}{}", outcome.stdout, outcome.stderr).to_lowercase();
            assert!(
                said.contains("no_space"),
                "does not say that the disk is full:\n{}",
                outcome.text()
            );
            self.tally.count("stopped by a full disk");
        } else {
            self.tally.count("not stopped by a full disk");
        }
    }

    fn lose_capture(&mut self) {
        if self.running.is_some() {
            self.kill();
        }
        // far enough that something is durable, so that going on would mean a gap
        let begun = self.trial.start(&["run", "--json"]);
        crate::patience::wait_until("a checkpoint", LONG, || {
            begun.stdout_so_far().contains("\"checkpoint\":\"")
        });
        begun.kill();
        let what = capture::lose(&self.trial.source, &mut self.random);
        let before = compare::contents(&self.trial.target);
        let outcome = self.trial.call(&["run"]);
        assert!(
            matches!(outcome.code, Some(1 | 2)),
            "went on without {what}:\n{}",
            outcome.text()
        );
        if self.plan.source.is_mysql() {
            let said = outcome.text();
            assert!(said.contains("purged"), "does not say why:\n{said}");
        }
        assert!(
            before == compare::contents(&self.trial.target),
            "wrote to the target after {what} was lost:\n{}",
            outcome.text()
        );
        self.trial
            .call(&["abort", "--drop-target-tables"])
            .expect(0);
        capture::assert_gone(&self.trial.source);
        // a role that owns its publication has none after the abort
        self.trial.grant_again();
        self.tally.count("capture lost");
    }

    fn end(mut self) {
        if self.running.is_some() {
            self.kill();
        }
        self.writers.take().expect("writers are at work").stop();
        let last = if self.plan.verify {
            "verified"
        } else {
            "followed"
        };
        self.trial.call(&["run", "--until", last]).expect(0);
        self.trial.assert_equal();
        let status = self.trial.status();
        assert!(status["ledger_balanced"] == true, "the ledger: {status}");
        self.trial.call(&["abort"]).expect(0);
        capture::assert_gone(&self.trial.source);
        self.trial.assert_equal();
    }
}

/// Ends each of the product's sessions with a chance of `share` in a hundred. Performance tables are off, so that no session has a
/// name: on the source the product has a user of its own, on the target it is alone.
fn end_some_on_mysql(
    database: &MysqlDatabase,
    side: Side,
    share: u32,
    random: &mut StdRng,
) -> usize {
    let sessions = database.sessions_where(|session| match side {
        Side::Source => session[1]
            .as_deref()
            .is_some_and(|user| user.starts_with("crossfade_trial_")),
        Side::Target => session[3].as_deref() == Some(database.name()),
    });
    let mut ended = 0;
    for session in sessions {
        if random.random_range(0..100) < share {
            ended += usize::from(database.end_session(&session));
        }
    }
    ended
}
