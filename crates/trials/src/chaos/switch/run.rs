//! One seed, from empty databases to the bank's books.

mod second;
mod sessions;

use std::fs;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rand::Rng;
use rand::rngs::StdRng;
use rusqlite::Connection;
use tempfile::TempDir;

use super::plan::{Ending, How, Plan};
use super::pooled::Pooled;
use crate::bank::{self, Bank, Door, Options, Side};
use crate::binary::{Outcome, Running};
use crate::chaos::Tally;
use crate::chaos::control::{Down, Servers};
use crate::chaos::proxy::Proxy;
use crate::compare;
use crate::database::{Database, Engine};
use crate::patience::{LONG, wait_until};
use crate::seed::generator;
use crate::trial::Trial;

/// The time box of an order that is disturbed. The server gives a silent holder ten seconds more.
const BOX: &str = "8s";
/// Transfers that are waited for in each part.
const SOME: usize = 15;
/// The file of who reaches both servers whatever happens to the way of the others.
const DIRECT: &str = "direct.toml";
/// The control store as it was before the order.
const OLD: &str = "old.control";

struct Scene<'a> {
    plan: &'a Plan,
    random: StdRng,
    servers: Option<Servers>,
    tally: &'a mut Tally,
    running: Option<Running>,
    bank: Bank,
    options: Options,
    proxy: Option<Proxy>,
    pooled: Option<Pooled>,
    /// Sessions on MySQL that were there before the order and are not the product's.
    others: Vec<String>,
    trial: Trial,
}

/// Runs a plan.
///
/// # Panics
/// When both stores take writes, none does at the end, or the books are wrong.
pub fn run(plan: &Plan, servers: Option<Servers>, tally: &mut Tally) {
    if servers.is_none() && matches!(plan.how, How::Crash(_)) {
        tally.count("skipped: nobody to ask for a server's end");
        return;
    }
    let mut scene = Scene::new(plan, servers, tally);
    scene.begin();
    let reached = scene.disturb();
    let what = format!("{:?} at {}", plan.how, plan.point);
    scene.tally.count(if reached {
        &what
    } else {
        "points never reached"
    });
    scene.one_at_most(&format!("after {what}"));
    // whatever it is, it can be looked at
    scene.trial.call(&["status", "--json"]).expect(0);
    let authority = scene.finish();
    if plan.onward {
        scene.onward(authority);
    }
    scene.end();
}

impl<'a> Scene<'a> {
    fn new(plan: &'a Plan, servers: Option<Servers>, tally: &'a mut Tally) -> Self {
        let folder = TempDir::with_prefix("crossfade-switch-").expect("a temporary folder");
        let source = Database::create(plan.source, folder.path(), "source");
        let target = Database::create(plan.target, folder.path(), "target");
        let mut urls = [&source, &target].map(own_url);
        let direct = urls.clone();
        let proxy = match plan.how {
            How::CutOff { side, .. } => {
                let (proxy, url) = Proxy::to(&urls[side as usize]);
                urls[side as usize] = url;
                Some(proxy)
            }
            _ => None,
        };
        let [through_source, through_target] = urls;
        let mut trial =
            Trial::between(folder, source, target).by_way_of(through_source, through_target);
        let pooled = match plan.how {
            How::Pooler(_) => Some(Pooled::before(&trial.source)),
            _ => None,
        };
        if let Some(pooled) = &pooled {
            trial.tables = pooled.route();
        }
        trial.write_file();
        let text = trial.file_text(&direct[0], &direct[1]);
        fs::write(trial.folder().join(DIRECT), text).expect("the trial's folder can be written");
        let options = Options {
            accounts: 100,
            tellers: 4,
            pause: 40,
            planted: matches!(plan.how, How::Crash(_) | How::Pooler(_)),
        };
        bank::make(&trial.source, options);
        let doors = match &pooled {
            Some(pooled) => [pooled.url(), pooled.url()],
            None => [trial.source.url(), trial.target.url()],
        };
        let bank = Bank::open_at(trial.folder(), doors, options, plan.seed);
        Self {
            plan,
            random: generator(plan.seed, 4_000),
            servers,
            tally,
            running: None,
            bank,
            options,
            proxy,
            pooled,
            others: Vec::new(),
            trial,
        }
    }

    fn database(&self, side: Side) -> &Database {
        match side {
            Side::Source => &self.trial.source,
            Side::Target => &self.trial.target,
        }
    }

    /// What `CROSSFADE_KILL` says: how often a process passes the point before depends on who that process is.
    fn armed(&self) -> String {
        let count = 1 + u32::from(self.plan.rollback && self.plan.by_run);
        let stop = match self.plan.how {
            How::Killed | How::ControlSetBack => "",
            _ => ":stop",
        };
        format!("{}:{count}{stop}", self.plan.point)
    }

    /// A run that follows and has read both sides.
    fn start_run(&mut self, environment: &[(&str, &str)]) {
        let running = self.trial.following(environment);
        self.running = Some(running);
        self.trial.call(&["verify", "--json"]).expect(0);
    }

    /// Ends the run that is at work, if any is; it may have come to any end.
    fn end_run(&mut self) {
        let Some(mut running) = self.running.take() else {
            return;
        };
        if running.is_running() {
            running.interrupt();
        }
        sane(&running.wait(LONG));
    }

    fn begin(&mut self) {
        let armed = self.armed();
        let environment = [("CROSSFADE_KILL", armed.as_str())];
        let by_run = self.plan.by_run;
        self.start_run(if by_run { &environment } else { &[] });
        if self.plan.rollback {
            self.trial.call(&order(false, "30s")).expect(0);
            self.bank.hint(Side::Target, true);
            // a run that has just turned round has read nothing yet
            self.trial.call(&["verify", "--json"]).expect(0);
        } else {
            self.bank.hint(Side::Source, true);
        }
        self.bank.wait_for_work(SOME);
        if !by_run {
            self.end_run();
        }
    }

    /// Gives the order, and does to it what the plan says. True if the point was reached.
    fn disturb(&mut self) -> bool {
        self.copy_control(OLD);
        if let How::Sessions(side) | How::Holder(side) = self.plan.how {
            self.note_others(side);
        }
        let armed = self.armed();
        let environment = [("CROSSFADE_KILL", armed.as_str())];
        let words = order(self.plan.rollback, BOX);
        let environment: &[_] = if self.plan.by_run { &[] } else { &environment };
        let mut ordered = self.trial.start_with(&words, environment);
        let reached = self.comes_to_the_point(&mut ordered);
        if !reached {
            sane(&ordered.wait(LONG));
            self.end_run();
            return false;
        }
        match self.plan.how {
            How::Killed => {
                self.running = None;
            }
            How::ControlSetBack => {
                self.running = None;
                ordered.kill();
                self.set_control_back();
                return true;
            }
            How::TakenOver => {
                self.one_at_most("while it stands still");
                self.second("migration.toml", &ordered);
                self.one_at_most("another has taken over");
                self.go_on(&ordered);
                sleep(Duration::from_millis(500));
                self.one_at_most("it goes on after another has taken over");
            }
            How::TakenOverHere => {
                self.one_at_most("while it stands still");
                self.taken_over_here();
                self.one_at_most("it was taken over");
                let still = |running: &mut Running| running.is_running();
                // one that had a file's lock in its hand was ended
                if still(self.running.as_mut().unwrap_or(&mut ordered)) {
                    self.go_on(&ordered);
                }
                sleep(Duration::from_millis(500));
                self.one_at_most("it goes on after it was taken over");
            }
            How::Sessions(side) => {
                let ended = self.end_sessions(side);
                self.tally.add("sessions ended", ended);
                self.go_on(&ordered);
            }
            How::Holder(side) => {
                let ended = self.end_holders(side);
                self.tally.add("holders of a fence ended", ended);
                self.go_on(&ordered);
            }
            How::Crash(side) => {
                self.crash(side);
                self.go_on(&ordered);
            }
            How::CutOff { second, .. } => {
                self.cut(true);
                self.go_on(&ordered);
                if second {
                    self.second(DIRECT, &ordered);
                } else {
                    let pause = self.random.random_range(500..22_000);
                    sleep(Duration::from_millis(pause));
                }
                self.one_at_most("cut off");
                self.cut(false);
            }
            How::Pooler(what) => {
                let pause = self.random.random_range(200..12_000);
                let pooled = self.pooled.as_mut().expect("made for this plan");
                pooled.strike(what);
                self.running.as_ref().unwrap_or(&ordered).go_on();
                sleep(Duration::from_millis(pause));
                self.one_at_most("without the pooler");
                let pooled = self.pooled.as_mut().expect("made for this plan");
                pooled.mend(what);
            }
        }
        sane(&ordered.wait(LONG));
        self.comes_to_rest();
        self.end_run();
        true
    }

    /// A run that is still at work leaves nothing half done: the application waits for it.
    fn comes_to_rest(&mut self) {
        if !self.running.as_mut().is_some_and(Running::is_running) {
            return;
        }
        wait_until("a run that is at work opens a store", LONG, || {
            let working = self.running.as_mut().is_some_and(Running::is_running);
            self.one_at_most("the order has ended").0.is_some() || !working
        });
    }

    /// Waits until the process is dead or stands still; false if the order ended without.
    fn comes_to_the_point(&mut self, ordered: &mut Running) -> bool {
        let begun = Instant::now();
        let dies = matches!(self.plan.how, How::Killed | How::ControlSetBack);
        loop {
            assert!(begun.elapsed() < LONG, "neither at the point nor at an end");
            self.bank.assert_open();
            let victim = self.running.as_mut().unwrap_or(&mut *ordered);
            let there = if dies {
                victim.ended_by_signal()
            } else {
                stands_still(victim.id())
            };
            if there {
                return true;
            }
            if !ordered.is_running() {
                return false;
            }
            sleep(Duration::from_millis(10));
        }
    }

    fn go_on(&self, ordered: &Running) {
        self.running.as_ref().unwrap_or(ordered).go_on();
    }

    fn crash(&self, side: Side) {
        let servers = self.servers.expect("asked for before");
        let engine = self.engine(side);
        servers.stop(engine, Down::Immediate);
        servers.start(engine);
    }

    fn engine(&self, side: Side) -> Engine {
        match side {
            Side::Source => self.plan.source,
            Side::Target => self.plan.target,
        }
    }

    fn cut(&self, cut: bool) {
        self.proxy.as_ref().expect("made for this plan").cut(cut);
    }

    fn one_at_most(&mut self, when: &str) -> (Option<Side>, [Door; 2]) {
        self.bank.assert_open();
        let found = bank::assert_one_at_most(&self.trial.source, &self.trial.target, when);
        eprintln!("  {when}: {:?}", found.1);
        found
    }

    /// One command, after which exactly one store takes writes and the other refuses.
    fn finish(&mut self) -> Side {
        let words = match self.plan.ending {
            Ending::Run => vec!["run", "--until", "followed"],
            Ending::Again => order(self.plan.rollback, "30s"),
        };
        let outcome = self.trial.call(&words);
        self.ended_by(&outcome);
        let (side, doors) = self.one_at_most("after one command");
        let side = side.unwrap_or_else(|| {
            panic!("no store takes writes: {doors:?}\n{}", outcome.text());
        });
        let other = &doors[side.other() as usize];
        assert_eq!(*other, Door::Closed, "the store without authority");
        self.bank.hint(side, true);
        if let Some(pooled) = &self.pooled {
            pooled.assert_leads(self.database(side));
        }
        self.audit(side, "after one command");
        side
    }

    /// A command that must have ended what was half done: it did what it says, or found it done.
    fn ended_by(&mut self, outcome: &Outcome) {
        sane(outcome);
        let found_done = outcome.code == Some(2) && outcome.text().contains("switch.authority");
        assert!(
            outcome.code == Some(0) || found_done,
            "one command should end it:\n{}",
            outcome.text()
        );
    }

    fn audit(&mut self, authority: Side, when: &str) {
        self.bank.wait_for_work(SOME);
        let log = self.bank.log();
        bank::assert_holds(self.database(authority), &log, when);
        bank::assert_balanced(self.database(authority), self.options.accounts, when);
    }

    /// The other way, by a run of its own.
    fn onward(&mut self, from: Side) {
        self.start_run(&[]);
        self.trial
            .call(&order(from == Side::Target, "30s"))
            .expect(0);
        let to = from.other();
        self.bank.hint(to, true);
        let (side, doors) = self.one_at_most("the other way");
        assert_eq!(side, Some(to), "{doors:?}");
        self.audit(to, "the other way");
        for side in [Side::Source, Side::Target] {
            bank::assert_balanced(
                self.database(side),
                self.options.accounts,
                "the other way, both",
            );
        }
        self.end_run();
    }

    fn end(self) {
        let log = self.bank.close();
        // the product's own comparison finds the same
        self.trial.call(&["run", "--until", "verified"]).expect(0);
        let (source, target) = (&self.trial.source, &self.trial.target);
        let differences = compare::differences(source, target);
        assert!(differences.is_empty(), "{}", differences.join("\n"));
        for database in [source, target] {
            bank::assert_is(database, &log, "at the end");
            bank::assert_balanced(database, self.options.accounts, "at the end");
        }
        self.tally
            .add("transfers acknowledged", log.acknowledged.len());
        self.tally.add("transfers unknown", log.maybe.len());
    }

    /// A whole copy of the control store, whoever uses it just now.
    fn copy_control(&self, name: &str) {
        let control = Connection::open(self.trial.control()).expect("the control store");
        let to = self.trial.folder().join(name);
        control
            .execute("VACUUM INTO ?1", [to.to_string_lossy()])
            .expect("the control store can be copied");
    }

    fn set_control_back(&self) {
        let control = self.trial.control();
        for end in ["-wal", "-shm", "-journal"] {
            let mut beside = control.clone().into_os_string();
            beside.push(end);
            // which of them there are is the control store's own affair
            let _ = fs::remove_file(PathBuf::from(beside));
        }
        fs::copy(self.trial.folder().join(OLD), control).expect("the control store");
    }
}

/// The URL by which the product comes: on MySQL as a user of its own, so that its sessions can be told from the tellers'.
fn own_url(database: &Database) -> String {
    match database {
        Database::Mysql(mysql) => mysql.own_administrator(),
        _ => database.url(),
    }
}

/// The order's words.
fn order(rollback: bool, within: &'static str) -> Vec<&'static str> {
    let mut words = if rollback {
        vec!["rollback"]
    } else {
        vec!["switch", "writes"]
    };
    words.extend(["--owner", "chaos", "--within", within, "--json"]);
    words
}

/// However it ended, not by a mistake of its own.
fn sane(outcome: &Outcome) {
    assert!(
        !outcome.stderr.contains("panicked at"),
        "{}",
        outcome.text()
    );
}

/// Whether a process was stopped (`proc_pid_stat(5)`: the state follows the name in parentheses).
fn stands_still(process: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit(')')
        .next()
        .is_some_and(|rest| rest.trim_start().starts_with('T'))
}
