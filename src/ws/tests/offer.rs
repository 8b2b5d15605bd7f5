//! Negotiating permessage-deflate: every combination of parameters, and what is wrong with others.

use crate::ws::deflate::Negotiated;
use crate::ws::handshake::offer::{Wishes, accept, agreed, offer};
use crate::ws::handshake::{parse_answer_head, parse_request_head};

const PLAIN: Wishes = Wishes { window_bits: 15, peer_window_bits: 15, context: true, peer_context: true };

fn head(start: &str, fields: &[&str]) -> Vec<u8> {
    let fields = fields.iter().map(|value| format!("Sec-WebSocket-Extensions: {value}\r\n"));
    format!("{start}\r\n{}\r\n", fields.collect::<String>()).into_bytes()
}

/// What a server makes of these fields of a request.
fn accepted(wishes: &Wishes, offers: &[&str]) -> Option<(Negotiated, String)> {
    let head = head("GET / HTTP/1.1\r\nHost: x", offers);
    let request = parse_request_head(&head).expect("a good request");
    let (agreed, answer) = accept(wishes, request.fields).expect("memory")?;
    Some((agreed, String::from_utf8(answer).expect("ASCII")))
}

/// What a client makes of these fields of an answer. Err: the handshake fails.
fn answered(wishes: &Wishes, answers: &[&str]) -> Result<Option<Negotiated>, ()> {
    let head = head("HTTP/1.1 101 x", answers);
    let answer = parse_answer_head(&head).expect("a good answer");
    agreed(wishes, answer.fields).map_err(|_| ())
}

fn all_wishes() -> impl Iterator<Item = Wishes> {
    (0..=255).map(|number: u8| Wishes {
        window_bits: 8 + number % 8,
        peer_window_bits: 8 + number / 8 % 8,
        context: number & 64 != 0,
        peer_context: number & 128 != 0,
    })
}

#[test]
fn whatever_we_wish_for_as_both_ends_is_agreed_on_in_the_same_way() {
    for client in all_wishes() {
        let text = String::from_utf8(offer(&client).expect("memory")).expect("ASCII");
        for server in all_wishes() {
            let (servers, answer) = accepted(&server, &[&text]).expect("nothing in it cannot be met");
            let clients = answered(&client, &[&answer]).expect("a good answer").expect("accepted");
            assert_eq!(
                (servers.context, servers.window_bits),
                (clients.peer_context, clients.peer_window_bits)
            );
            assert_eq!(servers.peer_context, clients.context);
            // A server may leave it at what the client has offered.
            assert!(clients.window_bits <= servers.peer_window_bits);
            assert_eq!(clients.context, client.context && server.peer_context);
            assert_eq!(servers.context, server.context && client.peer_context);
            assert_eq!(servers.window_bits, server.window_bits.min(client.peer_window_bits));
            assert!(clients.window_bits <= client.window_bits.min(server.peer_window_bits));
        }
    }
}

/// All orders of a list.
fn orders(list: &[String]) -> Vec<Vec<String>> {
    if list.len() < 2 {
        return vec![list.to_vec()];
    }
    let mut all = Vec::new();
    for at in 0..list.len() {
        let mut rest = list.to_vec();
        let first = rest.remove(at);
        all.extend(orders(&rest).into_iter().map(|mut order| {
            order.insert(0, first.clone());
            order
        }));
    }
    all
}

#[test]
fn every_combination_of_parameters_in_every_order_is_accepted_as_rfc_7692_says() {
    let mut count = 0;
    for no_contexts in 0..4 {
        for server_bits in [0, 8, 9, 12, 15] {
            for client_bits in [0, 1, 8, 9, 12, 15] {
                let mut parameters = Vec::new();
                if no_contexts & 1 != 0 {
                    parameters.push("server_no_context_takeover".to_owned());
                }
                if no_contexts & 2 != 0 {
                    parameters.push("Client_No_Context_Takeover".to_owned());
                }
                if server_bits > 0 {
                    parameters.push(format!("server_max_window_bits={server_bits}"));
                }
                match client_bits {
                    0 => {}
                    1 => parameters.push("client_max_window_bits".to_owned()),
                    bits => parameters.push(format!("client_max_window_bits=\"{bits}\"")),
                }
                for order in orders(&parameters) {
                    count += 1;
                    let mut text = "permessage-deflate".to_owned();
                    for parameter in order {
                        text += &format!(" ;{parameter}");
                    }
                    let (agreed, answer) = accepted(&PLAIN, &[&text]).expect("a good offer");
                    assert_eq!(agreed.context, no_contexts & 1 == 0, "{text}");
                    assert_eq!(agreed.peer_context, no_contexts & 2 == 0, "{text}");
                    assert_eq!(agreed.window_bits, if server_bits > 0 { server_bits } else { 15 }, "{text}");
                    let expected = if client_bits < 8 { 15 } else { client_bits };
                    assert_eq!(agreed.peer_window_bits, expected, "{text}");
                    // What the offer asks of the server, the answer grants; what it does not mention about
                    // the client's window, neither does the answer.
                    assert_eq!(answer.contains("server_no_context_takeover"), no_contexts & 1 != 0);
                    assert_eq!(answer.contains("server_max_window_bits"), server_bits > 0);
                    assert!(client_bits > 0 || !answer.contains("client_max_window_bits"));
                    let small = Wishes { peer_window_bits: 10, ..PLAIN };
                    let (_, answer) = accepted(&small, &[&text]).expect("a good offer");
                    assert_eq!(
                        answer.contains("client_max_window_bits="),
                        client_bits > 0,
                        "{text}: {answer}"
                    );
                }
            }
        }
    }
    println!("{count} offers");
}

#[test]
fn an_offer_with_something_wrong_in_it_is_declined_and_the_next_one_taken() {
    for wrong in [
        "server_max_window_bits",
        "server_max_window_bits=7",
        "server_max_window_bits=16",
        "server_max_window_bits=08",
        "server_max_window_bits=",
        "server_max_window_bits=\"\"",
        "server_max_window_bits=1 0",
        "server_max_window_bits=\"10",
        "server_max_window_bits=10\"",
        "server_max_window_bits=\"100\"",
        "server_max_window_bits=\"10\\\"",
        "client_max_window_bits=",
        "client_max_window_bits=7",
        "client_max_window_bits=+9",
        "server_no_context_takeover=1",
        "server_no_context_takeover=",
        "client_no_context_takeover=true",
        "server_no_context_takeover; server_no_context_takeover",
        "client_no_context_takeover; client_no_context_takeover",
        "server_max_window_bits=10; server_max_window_bits=10",
        "client_max_window_bits; client_max_window_bits",
        "client_max_window_bits; client_max_window_bits=10",
        "unknown",
        "unknown=1",
        "server_max_window_bits=\"10, permessage-deflate; client_max_window_bits=9\"",
        "",
        ";",
    ] {
        let text = format!("permessage-deflate; {wrong}");
        assert_eq!(accepted(&PLAIN, &[&text]), None, "{text}");
        let second = format!(
            "other; a=\"b, c; d\\\"\", , {text}, Permessage-Deflate; server_max_window_bits=\"1\\1\""
        );
        let next = accepted(&PLAIN, &[&second]).map(|(agreed, _)| agreed.window_bits);
        // A quote that never ends swallows what follows it.
        let expected =
            if wrong.matches('"').count() % 2 == 1 || wrong.contains("\\\"") { None } else { Some(11) };
        assert_eq!(next, expected, "{second}");
        let next = accepted(&PLAIN, &[&text, "permessage-deflate; server_max_window_bits=12"]);
        assert_eq!(next.map(|(agreed, _)| agreed.window_bits), Some(12), "{text}");
        assert_eq!(answered(&PLAIN, &[&text]), Err(()), "{text}");
    }
    assert_eq!(accepted(&PLAIN, &[]), None);
    assert_eq!(accepted(&PLAIN, &["x-webkit-deflate-frame"]), None);
    assert_eq!(accepted(&PLAIN, &["permessage-deflates"]), None);
}

#[test]
fn an_answer_that_the_offer_does_not_allow_fails_the_handshake() {
    let usual = Wishes::default();
    let small = Wishes { window_bits: 10, peer_window_bits: 10, ..PLAIN };
    let nc = "permessage-deflate; server_no_context_takeover";
    for (wishes, answer, expected) in [
        (usual, "", Ok(None)),
        (usual, nc, Ok(Some((15, 15, false, false)))),
        (usual, "permessage-deflate", Err(())),
        (usual, "permessage-deflate; client_no_context_takeover", Err(())),
        (PLAIN, "permessage-deflate", Ok(Some((15, 15, true, true)))),
        (PLAIN, "permessage-deflate; client_no_context_takeover", Ok(Some((15, 15, false, true)))),
        (PLAIN, nc, Ok(Some((15, 15, true, false)))),
        (PLAIN, "permessage-deflate; client_max_window_bits", Err(())),
        (PLAIN, "permessage-deflate; client_max_window_bits=8", Ok(Some((8, 15, true, true)))),
        (PLAIN, "permessage-deflate; server_max_window_bits=9", Ok(Some((15, 9, true, true)))),
        (small, "permessage-deflate", Err(())),
        (small, "permessage-deflate; server_max_window_bits=11", Err(())),
        (small, "permessage-deflate; server_max_window_bits=10", Ok(Some((10, 10, true, true)))),
        (small, "permessage-deflate; server_max_window_bits=9; client_max_window_bits=11", Err(())),
        (
            small,
            "permessage-deflate; server_max_window_bits=9; client_max_window_bits=9",
            Ok(Some((9, 9, true, true))),
        ),
        (PLAIN, "permessage-deflate, permessage-deflate", Err(())),
        (PLAIN, "permessage-deflate, other", Err(())),
        (PLAIN, "other", Err(())),
        (PLAIN, "permessage-deflate; mode=1", Err(())),
    ] {
        let known = answered(&wishes, &[answer])
            .map(|agreed| agreed.map(|a| (a.window_bits, a.peer_window_bits, a.context, a.peer_context)));
        assert_eq!(known, expected, "{answer}");
    }
    assert_eq!(answered(&PLAIN, &["permessage-deflate", "permessage-deflate"]), Err(()));
    assert_eq!(answered(&PLAIN, &["", "permessage-deflate"]).map(|agreed| agreed.is_some()), Ok(true));
}
