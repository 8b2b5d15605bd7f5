//! The race against a scripted world in which time passes only while it is waited for.

use super::race::{IpFamily, RaceEvent, World, race};
use crate::error::{Errno, Result};
use crate::net::addr::IpAddr;
use std::net::{Ipv4Addr, Ipv6Addr};

/// When something happens; None: never.
type Time = Option<i64>;

struct Script {
    now: i64,
    /// IPv6 and IPv4: when the answer comes, and how many addresses are in it.
    answers: [(Time, usize); 2],
    answered: [bool; 2],
    /// How long an attempt takes, and how it ends.
    connect: fn(&str) -> (Time, Result<()>),
    /// Attempts under way.
    pending: Vec<(Time, String)>,
    /// All attempts, with their times.
    begun: Vec<(String, i64)>,
}

fn address(family: IpFamily, number: u16) -> IpAddr {
    match family {
        IpFamily::V6 => IpAddr::new(Ipv6Addr::from(u128::from(number)).into(), 80, 0),
        IpFamily::V4 => IpAddr::new(Ipv4Addr::from(u32::from(number)).into(), 80, 0),
    }
}

fn name(address: &IpAddr) -> String {
    match address.ip().unwrap() {
        std::net::IpAddr::V6(ip) => format!("6#{}", u128::from(ip)),
        std::net::IpAddr::V4(ip) => format!("4#{}", u32::from(ip)),
    }
}

const FAMILIES: [IpFamily; 2] = [IpFamily::V6, IpFamily::V4];

impl Script {
    fn next_event(&mut self) -> Option<(i64, RaceEvent<String>)> {
        let answers = (0..2).filter(|&index| !self.answered[index]);
        let answer = answers.filter_map(|index| Some((self.answers[index].0?, index))).min();
        let ends = self.pending.iter().enumerate();
        let end = ends.filter_map(|(index, (time, _))| Some(((*time)?, index))).min();
        if let Some((time, index)) = answer.filter(|answer| end.is_none_or(|end| answer.0 <= end.0)) {
            self.answered[index] = true;
            let addresses = 1..=self.answers[index].1 as u16;
            let addresses = addresses.map(|number| address(FAMILIES[index], number)).collect();
            return Some((time, RaceEvent::Found(FAMILIES[index], addresses)));
        }
        let (time, index) = end?;
        let (_, name) = self.pending.remove(index);
        Some((
            time,
            match (self.connect)(&name).1 {
                Ok(()) => RaceEvent::Connected(name),
                Err(error) => RaceEvent::Failed(error),
            },
        ))
    }

    fn peek_time(&self) -> Option<i64> {
        let answers = (0..2).filter(|&index| !self.answered[index]);
        let answers = answers.filter_map(|index| self.answers[index].0);
        answers.chain(self.pending.iter().filter_map(|(time, _)| *time)).min()
    }
}

impl World for Script {
    type Connected = String;

    fn now(&self) -> i64 {
        self.now
    }

    fn begin(&mut self, address: &IpAddr) -> Result<Option<String>> {
        let name = name(address);
        self.begun.push((name.clone(), self.now));
        match (self.connect)(&name) {
            (Some(0), result) => result.map(|()| Some(name)),
            (time, _) => {
                self.pending.push((time.map(|time| self.now + time), name));
                Ok(None)
            }
        }
    }

    fn wait(&mut self, until: i64) -> Result<RaceEvent<String>> {
        let next = self.peek_time().filter(|&time| until < 0 || time <= until.max(self.now));
        match next {
            Some(_) => {
                let (time, event) = self.next_event().unwrap();
                self.now = self.now.max(time);
                Ok(event)
            }
            None => {
                assert!(until >= 0, "waits for ever");
                self.now = self.now.max(until);
                Ok(RaceEvent::TimeUp)
            }
        }
    }
}

struct RaceResult {
    result: Result<String>,
    begun: Vec<(String, i64)>,
    ended: i64,
}

fn play(
    v6: (Time, usize),
    v4: (Time, usize),
    deadline: i64,
    connect: fn(&str) -> (Time, Result<()>),
) -> RaceResult {
    let mut script = Script {
        now: 0,
        answers: [v6, v4],
        answered: [false; 2],
        connect,
        pending: Vec::new(),
        begun: Vec::new(),
    };
    let result = race(&mut script, deadline);
    RaceResult { result, begun: script.begun, ended: script.now }
}

/// All attempts take 20 ms and succeed.
fn soon(_: &str) -> (Time, Result<()>) {
    (Some(20), Ok(()))
}

fn never(_: &str) -> (Time, Result<()>) {
    (None, Ok(()))
}

fn begun(attempts: &[(&str, i64)]) -> Vec<(String, i64)> {
    attempts.iter().map(|&(name, time)| (name.to_string(), time)).collect()
}

fn won(outcome: &RaceResult, winner: &str, ended: i64) {
    assert_eq!(outcome.result, Ok(winner.to_string()));
    assert_eq!(outcome.ended, ended);
}

// ---- the scripts of libdill's own test ----

#[test]
fn ipv6_only() {
    won(&play((Some(10), 1), (Some(20), 0), -1, soon), "6#1", 30);
}

#[test]
fn ipv4_only() {
    won(&play((Some(10), 0), (Some(20), 1), -1, soon), "4#1", 40);
}

#[test]
fn a_pending_ipv4_lookup_is_given_up_when_ipv6_connects() {
    won(&play((Some(10), 1), (None, 0), -1, soon), "6#1", 30);
}

#[test]
fn a_pending_ipv6_lookup_is_given_up_when_ipv4_connects() {
    won(&play((None, 0), (Some(10), 1), -1, soon), "4#1", 70);
}

#[test]
fn ipv6_wins_within_its_head_start() {
    let outcome = play((Some(30), 1), (Some(10), 1), -1, soon);
    won(&outcome, "6#1", 50);
    assert_eq!(outcome.begun, begun(&[("6#1", 30)]));
}

#[test]
fn ipv4_is_tried_after_the_head_start() {
    let outcome = play((Some(100), 1), (Some(10), 1), -1, soon);
    won(&outcome, "4#1", 70);
    assert_eq!(outcome.begun, begun(&[("4#1", 50)]));
}

#[test]
fn ipv6_is_tried_if_it_comes_first_after_the_head_start() {
    let outcome = play((Some(80), 1), (Some(100), 1), -1, soon);
    won(&outcome, "6#1", 100);
    assert_eq!(outcome.begun, begun(&[("6#1", 80)]));
}

#[test]
fn the_deadline_may_fall_into_the_head_start() {
    let outcome = play((None, 0), (None, 0), 30, soon);
    assert_eq!((outcome.result, outcome.ended), (Err(Errno::ETIMEDOUT), 30));
}

#[test]
fn the_deadline_may_fall_behind_the_head_start() {
    let outcome = play((None, 0), (None, 0), 100, soon);
    assert_eq!((outcome.result, outcome.ended), (Err(Errno::ETIMEDOUT), 100));
}

#[test]
fn the_families_take_turns_until_the_deadline() {
    let outcome = play((Some(10), 2), (Some(20), 2), 1000, never);
    assert_eq!((outcome.result, outcome.ended), (Err(Errno::ETIMEDOUT), 1000));
    assert_eq!(outcome.begun, begun(&[("6#1", 10), ("4#1", 310), ("6#2", 610), ("4#2", 910)]));
}

#[test]
fn late_ipv6_addresses_are_preferred_from_then_on() {
    let outcome = play((Some(460), 3), (Some(10), 3), 1000, never);
    assert_eq!(outcome.begun, begun(&[("4#1", 50), ("4#2", 350), ("6#1", 650), ("4#3", 950)]));
}

#[test]
fn late_ipv4_addresses_take_their_turn() {
    let outcome = play((Some(10), 3), (Some(400), 3), 1000, never);
    assert_eq!(outcome.begun, begun(&[("6#1", 10), ("6#2", 310), ("4#1", 610), ("6#3", 910)]));
}

// ---- beyond them ----

#[test]
fn a_name_without_addresses_ends_at_once() {
    let outcome = play((Some(10), 0), (Some(20), 0), -1, soon);
    assert_eq!((outcome.result, outcome.ended), (Err(Errno::EADDRNOTAVAIL), 20));
}

#[test]
fn the_error_is_that_of_the_last_attempt_when_all_have_failed() {
    let outcome = play((Some(10), 1), (Some(20), 1), -1, |name| {
        let error = if name == "6#1" { Errno::ECONNRESET } else { Errno::ECONNREFUSED };
        (Some(30), Err(error))
    });
    assert_eq!(outcome.result, Err(Errno::ECONNREFUSED));
    assert_eq!(outcome.begun, begun(&[("6#1", 10), ("4#1", 40)]));
    assert_eq!(outcome.ended, 70);
}

#[test]
fn the_next_attempt_is_not_delayed_when_none_is_under_way() {
    let outcome = play((Some(10), 2), (Some(5), 2), -1, |name| match name {
        "6#1" => (Some(0), Err(Errno::EADDRNOTAVAIL)),
        "4#1" => (Some(5), Err(Errno::ECONNREFUSED)),
        _ => (Some(20), Ok(())),
    });
    won(&outcome, "6#2", 35);
    assert_eq!(outcome.begun, begun(&[("6#1", 10), ("4#1", 10), ("6#2", 15)]));
}

#[test]
fn a_failure_does_not_hasten_the_next_attempt_while_another_is_under_way() {
    let outcome = play((Some(10), 3), (Some(10), 3), 1000, |name| match name {
        "4#1" => (Some(50), Err(Errno::ECONNREFUSED)),
        _ => (None, Ok(())),
    });
    assert_eq!(outcome.begun, begun(&[("6#1", 10), ("4#1", 310), ("6#2", 610), ("4#2", 910)]));
}

#[test]
fn an_earlier_attempt_may_still_win() {
    let outcome = play((Some(10), 2), (Some(10), 2), -1, |name| match name {
        "6#1" => (Some(400), Ok(())),
        _ => (None, Ok(())),
    });
    won(&outcome, "6#1", 410);
}

#[test]
fn waiting_for_a_lookup_counts_towards_the_delay() {
    let outcome = play((None, 0), (Some(200), 2), 1000, never);
    assert_eq!(outcome.begun, begun(&[("4#1", 200), ("4#2", 350)]));
}

#[test]
fn an_empty_answer_has_the_delay_begin_anew() {
    let outcome = play((Some(200), 0), (Some(300), 2), 1000, never);
    assert_eq!(outcome.begun, begun(&[("4#1", 300), ("4#2", 500)]));
}

#[test]
fn a_connection_made_at_once_ends_the_race() {
    won(&play((Some(0), 1), (Some(0), 1), 0, |_| (Some(0), Ok(()))), "6#1", 0);
}
