//! Types and values to be written, and numbers by chance.

/// A small generator of numbers, so that a failure can be repeated.
pub struct Numbers(u64);

impl Numbers {
    pub fn seeded() -> Numbers {
        let seed = std::env::var("CROSSFADE_SEED")
            .ok()
            .and_then(|seed| seed.parse().ok())
            .unwrap_or(20_261_126);
        println!("CROSSFADE_SEED={seed}");
        Numbers(seed)
    }

    pub fn next(&mut self) -> u64 {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn double(&mut self) -> f64 {
        loop {
            let double = f64::from_bits(self.next());
            if double.is_finite() {
                return double;
            }
        }
    }
}

/// Types and values, as SQL; all servers have them.
pub fn common_types() -> Vec<(String, Vec<String>)> {
    let mut all: Vec<(String, Vec<String>)> = Vec::new();
    let mut add = |kind: &str, values: &[&str]| {
        all.push((
            kind.to_owned(),
            values.iter().map(|v| (*v).to_owned()).collect(),
        ));
    };
    add("TINYINT", &["-128", "-1", "0", "127"]);
    add("TINYINT UNSIGNED", &["0", "128", "255"]);
    add("SMALLINT", &["-32768", "32767"]);
    add("SMALLINT UNSIGNED", &["32768", "65535"]);
    add("MEDIUMINT", &["-8388608", "8388607", "-1"]);
    add("MEDIUMINT UNSIGNED", &["8388608", "16777215"]);
    add("INT", &["-2147483648", "2147483647"]);
    add("INT UNSIGNED", &["2147483648", "4294967295"]);
    add("INT(5) UNSIGNED ZEROFILL", &["7"]);
    add(
        "BIGINT",
        &["-9223372036854775808", "9223372036854775807", "-1"],
    );
    add(
        "BIGINT UNSIGNED",
        &["9223372036854775808", "18446744073709551615"],
    );
    add("BOOLEAN", &["true", "false"]);
    let nines = format!("-{}.{}", "9".repeat(35), "9".repeat(30));
    add(
        "DECIMAL(65,30)",
        &[
            "0",
            "-0.000000000000000000000000000001",
            "12345678901234567890.5",
            &nines,
        ],
    );
    add("DECIMAL(10,0)", &["-1", "9999999999", "0"]);
    add("DECIMAL(5,5)", &["0.00001", "-0.99999"]);
    add("DECIMAL(18,9) UNSIGNED", &["123456789.000000001"]);
    add("DECIMAL(65,0)", &[&"9".repeat(65)]);
    add(
        "DATE",
        &[
            "'1000-01-01'",
            "'9999-12-31'",
            "'0000-00-00'",
            "'2024-00-00'",
            "'2024-02-29'",
        ],
    );
    add(
        "TIME",
        &[
            "'838:59:59'",
            "'-838:59:59'",
            "'-00:00:01'",
            "'00:00:00'",
            "'23:59:59'",
        ],
    );
    add(
        "TIME(1)",
        &["'-00:00:00.1'", "'-12:34:56.7'", "'838:59:58.9'"],
    );
    add(
        "TIME(3)",
        &["'-00:00:00.001'", "'-00:00:01.000'", "'100:00:00.123'"],
    );
    add("TIME(4)", &["'-25:00:00.0001'"]);
    add(
        "TIME(6)",
        &[
            "'-00:00:00.000001'",
            "'-838:59:58.999999'",
            "'11:11:11.111111'",
        ],
    );
    add(
        "DATETIME",
        &[
            "'1000-01-01 00:00:00'",
            "'9999-12-31 23:59:59'",
            "'0000-00-00 00:00:00'",
        ],
    );
    for digits in 1..=6 {
        add(
            &format!("DATETIME({digits})"),
            &["'2024-02-29 23:59:58.987654'", "'0001-01-01 00:00:00'"],
        );
    }
    add(
        "TIMESTAMP NULL",
        &[
            "'1970-01-01 00:00:01'",
            "'2038-01-19 03:14:07'",
            "'0000-00-00 00:00:00'",
        ],
    );
    add("TIMESTAMP(2) NULL", &["'2024-02-29 12:34:56.78'"]);
    add(
        "TIMESTAMP(6) NULL",
        &["'2000-12-31 23:59:59.000001'", "'0000-00-00 00:00:00'"],
    );
    add("YEAR", &["1901", "2155", "0", "2024"]);
    add("BIT(1)", &["b'1'", "b'0'"]);
    add("BIT(13)", &["b'1000000000001'", "b'1'"]);
    add("BIT(64)", &["18446744073709551615", "1"]);
    add(
        "ENUM('a','b,c','é')",
        &["'a'", "'é'", "2", "'none of them'"],
    );
    add("SET('a','b','é')", &["''", "'a,é'", "'b'", "7"]);
    let many: Vec<String> = (0..300).map(|i| format!("'w{i}'")).collect();
    add(&format!("ENUM({})", many.join(",")), &["'w0'", "'w299'"]);
    add(
        &format!("SET({})", many[..64].join(",")),
        &["'w0,w63'", "'w8'"],
    );
    add("ENUM('a','\u{e9}') CHARACTER SET latin1", &["'\u{e9}'"]);
    add("CHAR(10)", &["'abc'", "'  x  '", "''", "'é😀'"]);
    add("CHAR(255)", &["repeat('😀', 255)", "'x'"]);
    add(
        "CHAR(100) CHARACTER SET latin1",
        &["'é'", "repeat('x', 100)"],
    );
    add("CHAR(10) CHARACTER SET utf16", &["'aé'"]);
    add("CHAR(5) CHARACTER SET ascii COLLATE ascii_bin", &["'A '"]);
    add(
        "BINARY(5)",
        &["'ab'", "x'00'", "x'6100620000'", "x'2020202020'", "''"],
    );
    add("BINARY(255)", &["x'01'"]);
    add("VARCHAR(255)", &["''", "'trailing  '", "repeat('é', 255)"]);
    add("VARCHAR(10)", &["'x'"]);
    add("VARCHAR(1000)", &["repeat('😀', 1000)", "'y'"]);
    add("VARCHAR(300) CHARACTER SET latin1", &["repeat('é', 300)"]);
    add("VARBINARY(10)", &["x'00ff00'", "x''"]);
    add("VARBINARY(3000)", &["repeat(x'00', 3000)"]);
    for kind in ["TINYTEXT", "TEXT", "MEDIUMTEXT", "LONGTEXT"] {
        add(kind, &["'é'", "''", "repeat('z', 200)"]);
    }
    add("TEXT CHARACTER SET latin1", &["'ü'"]);
    for kind in ["TINYBLOB", "BLOB", "MEDIUMBLOB", "LONGBLOB"] {
        add(kind, &["x'00ff'", "''"]);
    }
    add("LONGTEXT", &["repeat('long ', 60000)"]);
    add("LONGBLOB", &["repeat(x'fe', 1000000)"]);
    add(
        "GEOMETRY",
        &[
            "ST_GeomFromText('POINT(1 2)')",
            "ST_GeomFromText('LINESTRING(0 0,1 1,2 -2)')",
        ],
    );
    add("POINT", &["ST_GeomFromText('POINT(-1.5 1e10)')"]);
    all
}

pub fn json_documents(numbers: &mut Numbers) -> Vec<String> {
    let quoted = |text: String| format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"));
    let mut all: Vec<String> = [
        "null",
        "true",
        "false",
        "0",
        "-1",
        "32767",
        "32768",
        "65535",
        "65536",
        "2147483648",
        "-2147483649",
        "9223372036854775807",
        "18446744073709551615",
        "1.0",
        "0.1",
        "-0.0",
        "1e20",
        "1e15",
        "1e14",
        "1.5e-10",
        "1e-14",
        "1e-15",
        "1e-16",
        "123456789012345678",
        "5e-324",
        "1.7976931348623157e308",
        "\"\"",
        "\"é😀 / \\\\ \\\" \\b\\f\\n\\r\\t \\u0001 \\u001f \\u007f\"",
        "[]",
        "{}",
        "[1, [2, [3, {}]], {\"a\": [] }]",
        "{\"b\": 1, \"a\": 2, \"aa\": null, \"\": false, \"é\\n\": \"x\"}",
        "{\"a\": -32769, \"b\": 4294967295, \"c\": 1.25, \"d\": \"s\", \"e\": [true, null]}",
    ]
    .map(|text| quoted(text.to_owned()))
    .to_vec();
    let long: Vec<String> = (0..3000)
        .map(|i| format!("\"key{i}\": \"{}\"", "v".repeat(i % 50)))
        .collect();
    all.push(quoted(format!("{{{}}}", long.join(","))));
    let long: Vec<String> = (0..20_000)
        .map(|i| (i * 7_654_321_i64 - 50_000_000_000).to_string())
        .collect();
    all.push(quoted(format!("[{}]", long.join(","))));
    all.push(quoted(format!("\"{}\"", "x".repeat(100_000))));
    all.push(quoted(format!("{}1{}", "[".repeat(99), "]".repeat(99))));
    let doubles: Vec<String> = (0..3000)
        .map(|_| format!("{:?}", numbers.double()))
        .collect();
    all.push(quoted(format!("[{}]", doubles.join(","))));
    // halves and quarters of great numbers: often as near to one text as to another
    let halves: Vec<String> = (0..5000)
        .map(|_| {
            let bits = 45 + numbers.next() % 10;
            let whole = numbers.next() >> (64 - bits);
            format!(
                "{:?}",
                whole as f64 + [0.5, 0.25, 0.75, 0.125, 0.375][numbers.next() as usize % 5]
            )
        })
        .collect();
    all.push(quoted(format!("[{}]", halves.join(","))));
    let small: Vec<String> = (0..3000)
        .map(|_| format!("{:?}", (numbers.next() % 100_000_000) as f64 / 1e4))
        .collect();
    all.push(quoted(format!("[{}]", small.join(","))));
    for sql in [
        "CAST(CAST('2024-02-29' AS DATE) AS JSON)",
        "CAST(CAST('-12:34:56.789' AS TIME(3)) AS JSON)",
        "CAST(CAST('2024-02-29 01:02:03.000004' AS DATETIME(6)) AS JSON)",
        "JSON_ARRAY(TIMESTAMP('2020-01-01 00:00:00'), CAST('100:00:00' AS TIME))",
        "JSON_OBJECT('d', CAST(-12.340 AS DECIMAL(10,3)), 'z', CAST(0 AS DECIMAL(5,2)))",
        "JSON_ARRAY(CAST(12345678901234567890123456789.5 AS DECIMAL(40,5)))",
        "JSON_ARRAY(x'00ff', b'101', CAST('abc' AS BINARY))",
        "JSON_OBJECT('b', repeat(x'ab', 200))",
        "JSON_ARRAY(ST_GeomFromText('POINT(1 2)'))",
        "JSON_ARRAY(CAST(3 AS UNSIGNED), CAST(-3 AS SIGNED), 2.5e0)",
    ] {
        all.push(sql.to_owned());
    }
    all
}
