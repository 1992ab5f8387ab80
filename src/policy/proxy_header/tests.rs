use super::*;

const V4_BLOCK: [u8; 12] = [192, 0, 2, 7, 198, 51, 100, 1, 0xDC, 0x04, 0x01, 0xBB];

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn ends(client: &str, server: &str) -> Ends {
    Ends { client: address(client), server: address(server) }
}

fn v4() -> Ends {
    ends("192.0.2.7:56324", "198.51.100.1:443")
}

/// A header of version 2 with this much behind its length.
fn binary(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let length = u16::try_from(block.len()).expect("a length").to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n".as_slice(), &[command, family], &length, block].concat()
}

fn value(kind: u8, bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).expect("a length").to_be_bytes();
    [[kind].as_slice(), &length, bytes].concat()
}

fn whole(bytes: &[u8]) -> Option<Ends> {
    match read(bytes) {
        Ok(Reading::Whole { length, ends }) => {
            assert_eq!(length, bytes.len(), "all of it and nothing more");
            ends
        }
        other => panic!("{other:?}: {}", bytes.escape_ascii()),
    }
}

fn flaw(bytes: &[u8]) -> Flaw {
    read(bytes).expect_err("a flaw")
}

#[test]
fn a_line_names_both_ends() {
    assert_eq!(whole(b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n"), Some(v4()));
    let six = ends("[2001:db8::7]:56324", "[2001:db8::1]:443");
    assert_eq!(whole(b"PROXY TCP6 2001:db8::7 2001:DB8:0:0:0:0:0:1 56324 443\r\n"), Some(six));
    let lowest_and_highest = ends("0.0.0.0:0", "255.255.255.255:65535");
    assert_eq!(whole(b"PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n"), Some(lowest_and_highest));
}

#[test]
fn the_longest_lines_of_the_specification_are_taken() {
    let all = ["ffff"; 8].join(":");
    let six = format!("PROXY TCP6 {all} {all} 65535 65535\r\n");
    assert_eq!(six.len(), 104);
    assert!(whole(six.as_bytes()).is_some());
    let unknown = format!("PROXY UNKNOWN {all} {all} 65535 65535\r\n");
    assert_eq!(unknown.len(), 107);
    assert_eq!(whole(unknown.as_bytes()), None);
}

#[test]
fn an_unknown_client_is_nobody_whatever_stands_behind_the_word() {
    for line in ["PROXY UNKNOWN\r\n", "PROXY UNKNOWN 1 2 3\r\n", "PROXY UNKNOWN  \r\n", "PROXY UNKNOWN é\r\n"]
    {
        assert_eq!(whole(line.as_bytes()), None);
    }
}

#[test]
fn a_line_that_breaks_the_grammar_is_refused() {
    for rest in [
        "",
        "TCP4",
        "UNKNOWNS",
        "tcp4 192.0.2.7 198.51.100.1 56324 443",
        "TCP5 192.0.2.7 198.51.100.1 56324 443",
        "UDP4 192.0.2.7 198.51.100.1 56324 443",
        "TCP4 192.0.2.7 198.51.100.1 56324",
        "TCP4 192.0.2.7 198.51.100.1 56324 443 ",
        "TCP4 192.0.2.7 198.51.100.1 56324 443 1",
        "TCP4  192.0.2.7 198.51.100.1 56324 443",
        "TCP4\t192.0.2.7 198.51.100.1 56324 443",
        " TCP4 192.0.2.7 198.51.100.1 56324 443",
        "TCP4 192.0.2.07 198.51.100.1 56324 443",
        "TCP4 192.0.2.256 198.51.100.1 56324 443",
        "TCP4 192.0.2 198.51.100.1 56324 443",
        "TCP4 ::1 ::1 56324 443",
        "TCP6 192.0.2.7 198.51.100.1 56324 443",
        "TCP6 fe80::1%lo ::1 56324 443",
        "TCP6 [::1] ::1 56324 443",
        "TCP4 192.0.2.7 198.51.100.1 +56324 443",
        "TCP4 192.0.2.7 198.51.100.1 -1 443",
        "TCP4 192.0.2.7 198.51.100.1 056324 443",
        "TCP4 192.0.2.7 198.51.100.1 00 443",
        "TCP4 192.0.2.7 198.51.100.1 65536 443",
        "TCP4 192.0.2.7 198.51.100.1  443",
        "TCP4 192.0.2.7 198.51.100.1 56324 443\r",
        "TCP4 192.0.2.7 198.51.100.1 56324 443\0",
        "TCP4 192.0.2.7 198.51.100.1 56324 44\u{b3}",
    ] {
        assert_eq!(flaw(format!("PROXY {rest}\r\n").as_bytes()), Flaw::Malformed, "{rest}");
    }
    assert_eq!(flaw(b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\n"), Flaw::Malformed, "no carriage return");
}

#[test]
fn a_line_that_has_no_end_within_107_bytes_is_too_long() {
    let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(92));
    assert_eq!(long.len(), 108);
    assert_eq!(flaw(long.as_bytes()), Flaw::TooLong);
    assert_eq!(read(&long.as_bytes()[..106]), Ok(Reading::Partial));
    assert_eq!(flaw(&long.as_bytes()[..107]), Flaw::TooLong, "without waiting for more");
}

#[test]
fn a_binary_header_names_both_ends() {
    assert_eq!(whole(&binary(0x21, 0x11, &V4_BLOCK)), Some(v4()));
    let six = ends("[2001:db8::7]:56324", "[2001:db8::1]:443");
    let mut block = [0; 36];
    block[..4].copy_from_slice(&[0x20, 0x01, 0x0D, 0xB8]);
    block[15] = 7;
    block[16..20].copy_from_slice(&[0x20, 0x01, 0x0D, 0xB8]);
    block[31] = 1;
    block[32..].copy_from_slice(&V4_BLOCK[8..]);
    assert_eq!(whole(&binary(0x21, 0x21, &block)), Some(six));
}

#[test]
fn a_proxys_own_connection_and_other_families_are_nobodys() {
    assert_eq!(whole(&binary(0x20, 0x00, &[])), None);
    assert_eq!(whole(&binary(0x20, 0x11, &V4_BLOCK)), None, "LOCAL discards what it carries");
    assert_eq!(whole(&binary(0x20, 0x11, &[1, 2, 3])), None);
    assert_eq!(whole(&binary(0x21, 0x00, &[])), None);
    assert_eq!(whole(&binary(0x21, 0x00, &[255; 300])), None);
    assert_eq!(whole(&binary(0x21, 0x31, &[0; 216])), None, "UNIX");
    assert_eq!(whole(&binary(0x21, 0x12, &V4_BLOCK)), None, "datagrams");
}

#[test]
fn a_binary_header_that_breaks_the_format_is_refused() {
    for (command, family) in [(0x11, 0x11), (0x31, 0x11), (0x22, 0x11), (0x2F, 0x11), (0x01, 0x11)] {
        assert_eq!(flaw(&binary(command, family, &V4_BLOCK)), Flaw::Malformed, "{command:x}");
    }
    for family in [0x41, 0x13, 0x1F, 0xF0, 0xFF] {
        assert_eq!(flaw(&binary(0x21, family, &V4_BLOCK)), Flaw::Malformed, "{family:x}");
    }
    assert_eq!(flaw(&binary(0x21, 0x11, &V4_BLOCK[..11])), Flaw::Malformed, "too short for its addresses");
    assert_eq!(flaw(&binary(0x21, 0x21, &[0; 35])), Flaw::Malformed);
    let sixteen = &binary(0x11, 0x11, &V4_BLOCK)[..16];
    assert_eq!(flaw(sixteen), Flaw::Malformed, "without waiting for the addresses");
}

#[test]
fn values_behind_the_addresses_are_skipped_and_have_to_fill_the_header() {
    let values = [value(0x02, b"shop.example"), value(0x04, &[0; 300]), value(0xEA, b"")].concat();
    assert_eq!(whole(&binary(0x21, 0x11, &[V4_BLOCK.as_slice(), &values].concat())), Some(v4()));
    for cut in 1..values.len() {
        let block = [V4_BLOCK.as_slice(), &values[..cut]].concat();
        let is_edge = [15, 318].contains(&cut);
        assert_eq!(read(&binary(0x21, 0x11, &block)).is_ok(), is_edge, "{cut}");
    }
}

#[test]
fn a_header_that_has_a_checksum_is_held_to_it() {
    let with = |sum: &[u8]| binary(0x21, 0x11, &[V4_BLOCK.as_slice(), &value(0x03, sum)].concat());
    // Worked out by another program.
    let sum: u32 = 0x548E_28FF;
    assert_eq!(whole(&with(&sum.to_be_bytes())), Some(v4()));
    assert_eq!(flaw(&with(&(sum ^ 1).to_be_bytes())), Flaw::WrongChecksum);
    assert_eq!(flaw(&with(&[0; 4])), Flaw::WrongChecksum);
    assert_eq!(flaw(&with(&[0; 3])), Flaw::Malformed);
    assert_eq!(flaw(&with(&[0; 5])), Flaw::Malformed);
    let mut touched = with(&sum.to_be_bytes());
    touched[16] ^= 1;
    assert_eq!(flaw(&touched), Flaw::WrongChecksum, "another client");
}

#[test]
fn a_header_of_4096_bytes_is_read_and_a_longer_one_refused_before_it_is_there() {
    let filled = |length: usize| {
        binary(0x21, 0x11, &[V4_BLOCK.as_slice(), &value(0x04, &vec![0; length - 16 - 12 - 3])].concat())
    };
    assert_eq!(whole(&filled(LONGEST)), Some(v4()));
    assert_eq!(flaw(&filled(LONGEST + 1)[..16]), Flaw::TooLong);
    assert_eq!(flaw(&binary(0x20, 0x00, &[0; 4081])), Flaw::TooLong);
}

#[test]
fn a_header_that_is_not_all_there_is_waited_for_and_what_follows_it_is_left() {
    let headers = [
        write(SendProxy::V1, Some(v4())),
        write(SendProxy::V1, None),
        write(SendProxy::V2, Some(v4())),
        write(SendProxy::V2, None),
        binary(0x21, 0x11, &[V4_BLOCK.as_slice(), &value(0x04, &[0; 300])].concat()),
    ];
    for header in headers {
        for cut in 0..header.len() {
            assert_eq!(read(&header[..cut]), Ok(Reading::Partial), "{cut} of {}", header.escape_ascii());
        }
        let ends = whole(&header);
        for after in [b"GET / HTTP/1.1\r\n".as_slice(), b"\x16\x03\x01", &header] {
            let both = [&header, after].concat();
            assert_eq!(read(&both), Ok(Reading::Whole { length: header.len(), ends }));
        }
    }
}

#[test]
fn what_is_not_a_header_is_known_at_its_first_other_byte() {
    for bytes in [
        "GET / HTTP/1.1\r\n",
        "PROPFIND / HTTP/1.1\r\n",
        "PROXY\r\n",
        "proxy TCP4",
        "\r\n\r\nGET",
        "\x16\x03\x01",
    ] {
        assert_eq!(read(bytes.as_bytes()), Ok(Reading::Absent), "{bytes}");
    }
    for bytes in ["", "P", "PRO", "PROXY", "\r", "\r\n\r\n", "\r\n\r\n\0\r\nQUIT"] {
        assert_eq!(read(bytes.as_bytes()), Ok(Reading::Partial), "{bytes:?}");
    }
}

#[test]
fn what_is_written_reads_back() {
    for (client, server) in [
        ("192.0.2.7:56324", "198.51.100.1:443"),
        ("[2001:db8::7]:1", "[2001:db8::1]:65535"),
        ("255.255.255.255:65535", "0.0.0.0:0"),
    ] {
        for version in [SendProxy::V1, SendProxy::V2] {
            let ends = ends(client, server);
            assert_eq!(whole(&write(version, Some(ends))), Some(ends));
        }
    }
    assert_eq!(write(SendProxy::V1, Some(v4())), b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n");
    assert_eq!(write(SendProxy::V2, Some(v4())), binary(0x21, 0x11, &V4_BLOCK));
    assert_eq!(write(SendProxy::V1, None), b"PROXY UNKNOWN\r\n");
    assert_eq!(write(SendProxy::V2, None), binary(0x20, 0x00, &[]));
}

#[test]
fn two_families_are_written_as_one() {
    let mixed = ends("192.0.2.7:5", "[2001:db8::1]:443");
    let line = write(SendProxy::V1, Some(mixed));
    assert_eq!(line, b"PROXY TCP6 ::ffff:192.0.2.7 2001:db8::1 5 443\r\n");
    for version in [SendProxy::V1, SendProxy::V2] {
        let read = whole(&write(version, Some(mixed))).expect("both ends");
        assert_eq!(read.client.ip().to_canonical(), mixed.client.ip());
        assert_eq!(read.server, mixed.server);
    }
}

#[test]
fn no_bytes_make_it_panic_or_take_what_is_not_there() {
    let mut rng = fastrand::Rng::with_seed(7);
    let seeds = [
        write(SendProxy::V1, Some(v4())),
        write(SendProxy::V2, Some(v4())),
        binary(0x21, 0x21, &[7; 36]),
        binary(0x21, 0x11, &[V4_BLOCK.as_slice(), &value(0x03, &[0; 4]), &value(0x04, &[0; 40])].concat()),
    ];
    for round in 0..200_000 {
        let mut bytes = seeds[round % seeds.len()].clone();
        for _ in 0..rng.usize(..6) {
            let at = rng.usize(..bytes.len());
            match rng.u8(..4) {
                0 => bytes.truncate(at.max(1)),
                1 => bytes.insert(at, rng.u8(..)),
                2 => bytes[at] ^= 1 << rng.u8(..8),
                _ => bytes[at] = rng.u8(..),
            }
        }
        bounded(&bytes);
        bounded(&[b"\r\n\r\n\0\r\nQUIT\n".as_slice(), &bytes].concat());
    }
}

fn bounded(bytes: &[u8]) {
    match read(bytes) {
        Ok(Reading::Whole { length, .. }) => assert!(length <= bytes.len().min(LONGEST)),
        Ok(Reading::Partial) => assert!(bytes.len() < LONGEST, "nobody is waited for in vain"),
        Ok(Reading::Absent) | Err(_) => {}
    }
}
