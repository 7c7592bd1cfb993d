//! `$` composites (`idStruct$classe`): typed as structs of texts. The separator has no escape, so a
//! value with the declared number of parts or fewer reads and writes back the same: a part that is
//! there and empty is the empty text, one that is not there is null.

use crate::contract::ColumnSpec;
use arrow::array::{Array, ArrayRef, AsArray, ListArray, StringArray, StringBuilder, StructArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, Fields};
use std::sync::Arc;

/// Fields of the struct of a composite column.
pub fn part_fields(spec: &ColumnSpec) -> Fields {
    spec.parts.iter().map(|p| Field::new(p, DataType::Utf8, true)).collect()
}

/// Parts of a value, one per declared name.
pub fn parse<'v>(value: &'v str, parts: usize) -> Vec<Option<&'v str>> {
    let mut found: Vec<Option<&'v str>> = value.split('$').take(parts).map(Some).collect();
    found.resize(parts, None);
    found
}

/// The value of its parts.
pub fn encode<'v>(parts: impl Iterator<Item = Option<&'v str>>) -> String {
    parts.map_while(|p| p).collect::<Vec<_>>().join("$")
}

/// A raw column as the typed one.
pub fn typed(spec: &ColumnSpec, raw: &ArrayRef) -> ArrayRef {
    if spec.parts.is_empty() {
        return raw.clone();
    }
    if let Some(list) = raw.as_list_opt::<i32>() {
        let Some(values) = list.values().as_string_opt::<i32>() else { return raw.clone() };
        let items = structs(spec, values);
        let field = Arc::new(Field::new_list_field(items.data_type().clone(), true));
        return Arc::new(ListArray::new(field, list.offsets().clone(), items, list.nulls().cloned()));
    }
    raw.as_string_opt::<i32>().map_or_else(|| raw.clone(), |text| structs(spec, text))
}

fn structs(spec: &ColumnSpec, text: &StringArray) -> ArrayRef {
    let n = spec.parts.len();
    let mut builders: Vec<StringBuilder> = (0..n).map(|_| StringBuilder::new()).collect();
    for value in text {
        let parts = value.map_or_else(|| vec![None; n], |v| parse(v, n));
        builders.iter_mut().zip(parts).for_each(|(b, p)| b.append_option(p));
    }
    let columns: Vec<ArrayRef> = builders.iter_mut().map(|b| Arc::new(b.finish()) as ArrayRef).collect();
    let nulls: Option<NullBuffer> = text.nulls().cloned();
    Arc::new(StructArray::new(part_fields(spec), columns, nulls))
}

/// A typed column back as text, for CSV: what it came from.
pub fn as_text(array: &ArrayRef) -> Option<ArrayRef> {
    let parts = array.as_struct_opt()?;
    let columns: Vec<&StringArray> =
        parts.columns().iter().filter_map(|c| c.as_string_opt::<i32>()).collect();
    let text: StringArray = (0..parts.len())
        .map(|row| {
            parts.is_valid(row).then(|| encode(columns.iter().map(|c| c.is_valid(row).then(|| c.value(row)))))
        })
        .collect();
    Some(Arc::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_composite_reads_and_writes_back_the_same(value in "[a-z0-9éà $]{0,40}", extra in 0_usize..3) {
            let parts = value.split('$').count() + extra;
            prop_assert_eq!(encode(parse(&value, parts).into_iter()), value);
        }
    }
}
