//! SQL:2008 types, and the XML Schema of a table.

use super::cell::Seen;
use super::model::{Kind, Table};
use super::text::Xml;

/// Namespace of the rows, the same for all tables since SIARD 2.1.
pub const NAMESPACE: &str = "http://www.bar.admin.ch/xmlns/siard/2/table.xsd";

/// The schema of `header/metadata.xml`, narrowed to what this writer says. Every document that it
/// accepts is one of the standard's.
pub const METADATA_SCHEMA: &str = include_str!("metadata.xsd");

/// Longest `VARCHAR`; above, a `CLOB`, written in the row all the same.
const MAX_VARCHAR: usize = 4000;

/// The SQL:2008 type of a column, as the metadata name it; of a list, that of its items.
pub fn sql(kind: Kind, seen: Seen) -> String {
    match kind {
        Kind::Integer => "BIGINT".into(),
        Kind::Decimal { precision, scale } => format!("DECIMAL({precision}, {scale})"),
        Kind::Boolean => "BOOLEAN".into(),
        Kind::Date => "DATE".into(),
        Kind::Time => "TIME".into(),
        Kind::Seconds => "INTERVAL SECOND(10, 0)".into(),
        Kind::Text | Kind::List => match seen.chars {
            chars @ 0..=MAX_VARCHAR => format!("VARCHAR({})", chars.max(1)),
            chars => format!("CLOB({chars})"),
        },
    }
}

fn xml(kind: Kind) -> &'static str {
    match kind {
        Kind::Integer => "xs:integer",
        Kind::Decimal { .. } => "xs:decimal",
        Kind::Boolean => "xs:boolean",
        Kind::Date => "dateType",
        Kind::Time => "timeType",
        Kind::Seconds => "xs:duration",
        Kind::Text | Kind::List => "xs:string",
    }
}

/// The schema of `tableN.xml`: an element for each column, in order, left out when null.
pub fn of_table(table: &Table, seen: &[Seen]) -> Vec<u8> {
    let mut out = Xml::new(
        "xs:schema",
        &format!(
            "xmlns:xs=\"http://www.w3.org/2001/XMLSchema\" xmlns=\"{NAMESPACE}\" \
             targetNamespace=\"{NAMESPACE}\" elementFormDefault=\"qualified\" version=\"2.2\""
        ),
    );
    out.raw("<xs:element name=\"table\" type=\"tableType\"/>");
    out.raw("<xs:complexType name=\"tableType\">");
    out.raw("  <xs:sequence>");
    out.raw("    <xs:element name=\"row\" type=\"rowType\" minOccurs=\"0\" maxOccurs=\"unbounded\"/>");
    out.raw("  </xs:sequence>");
    out.raw("  <xs:attribute name=\"version\" type=\"xs:string\" fixed=\"2.2\" use=\"required\"/>");
    out.raw("</xs:complexType>");
    out.raw("<xs:complexType name=\"rowType\">");
    out.raw("  <xs:sequence>");
    for (i, (column, seen)) in table.columns.iter().zip(seen).enumerate() {
        let occurs = if column.nullable { " minOccurs=\"0\"" } else { "" };
        let list = column.kind == Kind::List;
        let kind = if list { String::new() } else { format!(" type=\"{}\"", xml(column.kind)) };
        out.raw(&format!("    <xs:element name=\"c{}\"{kind}{occurs}>", i + 1));
        out.raw("      <xs:annotation>");
        out.leaf("xs:documentation", &column.name);
        out.raw("      </xs:annotation>");
        if list {
            out.raw("      <xs:complexType>");
            out.raw("        <xs:sequence>");
            for place in 1..=seen.items.max(1) {
                let item = format!("<xs:element name=\"a{place}\" type=\"xs:string\" minOccurs=\"0\"/>");
                out.raw(&format!("          {item}"));
            }
            out.raw("        </xs:sequence>");
            out.raw("      </xs:complexType>");
        }
        out.raw("    </xs:element>");
    }
    out.raw("  </xs:sequence>");
    out.raw("</xs:complexType>");
    for (name, base, pattern) in
        [("dateType", "xs:date", r"\d{4}-\d\d-\d\dZ?"), ("timeType", "xs:time", r"\d\d:\d\d:\d\d(\.\d+)?Z?")]
    {
        out.raw(&format!("<xs:simpleType name=\"{name}\">"));
        out.raw(&format!("  <xs:restriction base=\"{base}\">"));
        out.raw(&format!("    <xs:pattern value=\"{pattern}\"/>"));
        out.raw("  </xs:restriction>");
        out.raw("</xs:simpleType>");
    }
    out.finish()
}
