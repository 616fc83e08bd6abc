//! The shapes a record can take, and what each adds to a plain one.

use rand::{RngExt as _, rngs::Xoshiro256PlusPlus};

use super::{
    cast::{self, one_of},
    json::Json,
};

/// What is unusual about a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shape {
    /// `ClientIP` with a port, in brackets, mapped, empty or `<null>`, in turn.
    ClientIp,
    /// `CreationTime` ends in `Z`.
    CreationTimeWithZone,
    /// CR and LF escaped inside a string.
    CrlfInString,
    /// Decimals and exponents.
    Decimals,
    /// Objects and arrays to depth 9.
    DeepNesting,
    /// `\/` and `\uXXXX` wherever they are possible.
    Escaped,
    /// Integers beyond 2^53, up to forty digits.
    HugeIntegers,
    /// An `Id` that is no GUID.
    IdWithoutGuid,
    /// Bytes inside a string that are no UTF-8: not JSON.
    InvalidUtf8,
    /// JSON in a string, up to 12 kB.
    JsonInString,
    /// A key with a space.
    KeyWithSpace,
    /// Up to 17 kB.
    Large,
    /// Integers beyond 2^31.
    LargeIntegers,
    /// An escaped half of a surrogate pair without the other.
    LoneSurrogate,
    /// Negative numbers.
    NegativeNumbers,
    /// Letters of many scripts as they are.
    NonAscii,
    /// Members that are null.
    Nulls,
    /// `Parameters` as one string instead of an array.
    ParametersAsString,
    /// Nothing.
    Plain,
    /// Members from a long tail of names.
    RareKeys,
    /// The `Id` of the record before, with another time and content.
    RepeatedId,
    /// One key twice, with different values.
    RepeatedKey,
    /// Arrays of strings where objects are usual.
    StringsForObjects,
    /// No `Id`, so that it has no identity.
    WithoutId,
    /// No `Workload`, so that the content type decides the table.
    WithoutWorkload,
    /// XML in a string, up to 12 kB.
    XmlInString,
}

impl Shape {
    /// Every shape.
    pub const ALL: [Self; 26] = [
        Self::ClientIp,
        Self::CreationTimeWithZone,
        Self::CrlfInString,
        Self::Decimals,
        Self::DeepNesting,
        Self::Escaped,
        Self::HugeIntegers,
        Self::IdWithoutGuid,
        Self::InvalidUtf8,
        Self::JsonInString,
        Self::KeyWithSpace,
        Self::Large,
        Self::LargeIntegers,
        Self::LoneSurrogate,
        Self::NegativeNumbers,
        Self::NonAscii,
        Self::Nulls,
        Self::ParametersAsString,
        Self::Plain,
        Self::RareKeys,
        Self::RepeatedId,
        Self::RepeatedKey,
        Self::StringsForObjects,
        Self::WithoutId,
        Self::WithoutWorkload,
        Self::XmlInString,
    ];

    /// Whether any JSON parser accepts it.
    pub const fn is_strict_json(self) -> bool {
        !matches!(self, Self::InvalidUtf8 | Self::LoneSurrogate)
    }

    /// Writes the members this shape adds.
    pub(super) fn write(self, json: &mut Json, rng: &mut Xoshiro256PlusPlus) {
        match self {
            Self::CrlfInString => json.key("NewValue").text(
                "[\r\n  {\r\n    \"AddressType\": 0,\r\n    \"Address\": \
                 \"https://app.example.com/\"\r\n  }\r\n]",
            ),
            Self::Decimals => {
                json.key("Score").raw("0.87300");
                json.key("Ratio").raw("1.0");
                json.key("Latency").raw("1.5E-03");
                json.key("Offset").raw("-0.0");
            }
            Self::DeepNesting => nested(json.key("ExtendedDetails"), 2),
            Self::Escaped => json
                .key("Justification")
                .text("Übergabe an <Team 'Süd'> & Rückfrage: 会議 😀 https://app.example.com/a/b"),
            Self::HugeIntegers => {
                json.key("SequenceNumber").raw("9007199254740993");
                json.key("Cookie").raw("18446744073709551616");
                json.key("Puid").raw("1234567890123456789012345678901234567890");
            }
            Self::InvalidUtf8 => json.key("Subject").raw(b"\"caf\xe9 \xff\xfe \xc3(\""),
            Self::JsonInString => {
                let text = json_text(rng);
                json.key("AdditionalDetails").text(&text);
            }
            Self::KeyWithSpace => json.key("Data State").text("Use"),
            Self::Large => large(json.key("AccessedItems"), rng),
            Self::LargeIntegers => {
                json.key("ItemSize").raw("4294967296");
                json.key("Ticks").raw("637134336000000000");
            }
            Self::LoneSurrogate => json.key("Subject").raw(r#""half \ud83d of a pair \udc00""#),
            Self::NegativeNumbers => {
                json.key("LoginStatus").raw("-2147217390");
                json.key("Delta").raw("-1");
            }
            Self::NonAscii => json
                .key("DisplayName")
                .text("Größe, naïve façade, Ωmega, Привет, 日本語, עברית, 👩‍💻"),
            Self::Nulls => {
                for key in ["AppAccessContext", "SupportTicketId", "CorrelationId"] {
                    json.key(key).raw("null");
                }
            }
            Self::ParametersAsString => json
                .key("Parameters")
                .text("-Identity \"Front Desk\" -Confirm:$false -ResultSize \"Unlimited\""),
            Self::RareKeys => {
                // Different keys: equal first halves cannot meet within one record.
                let start = rng.random_range(0..RARE.len());
                for step in 0..rng.random_range(3..7) {
                    let first = RARE[(start + step) % RARE.len()];
                    let key = format!("{first}{}", one_of(rng, &TAILS));
                    json.key(&key).text(&cast::word(rng));
                }
            }
            Self::RepeatedKey => {
                json.key("Scope").text("Online");
                json.key("ItemCount").number(3);
                json.key("Scope").text("OnPremises");
            }
            Self::StringsForObjects => {
                for key in ["ExtendedProperties", "ModifiedProperties"] {
                    json.key(key).array(|json| {
                        json.text("resultType=Success");
                        json.text(&cast::word(rng));
                    });
                }
            }
            Self::XmlInString => {
                let text = xml_text(rng);
                json.key("PolicyXml").text(&text);
            }
            Self::ClientIp
            | Self::CreationTimeWithZone
            | Self::IdWithoutGuid
            | Self::Plain
            | Self::RepeatedId
            | Self::WithoutId
            | Self::WithoutWorkload => {}
        }
    }
}

/// An object whose innermost value is at depth 9; the record itself is depth 1.
fn nested(json: &mut Json, depth: usize) {
    json.object(|json| {
        json.key("Level").number(i64::try_from(depth).unwrap_or(0));
        if depth + 1 < DEEPEST {
            let inner = json.key("Inner");
            inner.array(|json| nested(json, depth + 2));
        } else if depth < DEEPEST {
            json.key("Leaf").array(|json| json.text("end"));
        }
    });
}

fn json_text(rng: &mut Xoshiro256PlusPlus) -> String {
    let length = rng.random_range(100..LONGEST_INNER);
    let mut text = String::from("{\"UserAgent\":\"Mozilla/5.0 (Windows NT 10.0)\",\"Claims\":[");
    while text.len() < length {
        let claim =
            format!("{{\"type\":\"{}\",\"value\":\"{}\\n\"}},", cast::word(rng), cast::guid(rng));
        text.push_str(&claim);
    }
    text.push_str("{}]}");
    text
}

fn xml_text(rng: &mut Xoshiro256PlusPlus) -> String {
    let length = rng.random_range(100..LONGEST_INNER);
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"utf-16\"?>\r\n<Rules>");
    while text.len() < length {
        let rule = format!("<Rule Id='{}'>{}</Rule>", cast::guid(rng), cast::word(rng));
        text.push_str(&rule);
    }
    text.push_str("</Rules>");
    text
}

fn large(json: &mut Json, rng: &mut Xoshiro256PlusPlus) {
    // One item is about 200 bytes.
    let items = rng.random_range(15..76);
    json.array(|json| {
        for _ in 0..items {
            json.object(|json| {
                json.key("Id").text(&cast::guid(rng));
                json.key("InternetMessageId")
                    .text(&format!("<{}@mail.example.com>", cast::guid(rng)));
                json.key("SizeInBytes").number(rng.random_range(900..90_000));
                json.key("Path").text("\\Inbox\\Projects");
                json.key("ImmutableId").text(&cast::guid(rng));
            });
        }
    });
}

const DEEPEST: usize = 9;

/// Text inside a string; quotes in it are escaped once more on the way out.
const LONGEST_INNER: usize = 10_000;

const RARE: [&str; 16] = [
    "Agent", "App", "Browser", "Campaign", "Channel", "Cluster", "Device", "Entity", "Flow",
    "Group", "Incident", "Label", "Policy", "Request", "Session", "Workflow",
];

const TAILS: [&str; 16] = [
    "Category",
    "Class",
    "Context",
    "Count",
    "Description",
    "Kind",
    "Level",
    "Mode",
    "Name",
    "Owner",
    "Reason",
    "Region",
    "Source",
    "State",
    "Type",
    "Version",
];
