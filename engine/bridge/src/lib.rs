//! Columns between arrow-rs and polars, without copying their buffers.
//!
//! polars no longer converts to arrow-rs arrays. Both speak the
//! [Arrow C Data Interface](https://arrow.apache.org/docs/format/CDataInterface.html), whose two
//! structs are `repr(C)` with a layout fixed by that specification; moving one library's struct
//! into the other's type is the only thing done here. This crate is the only one of the workspace
//! that may hold `unsafe`.
//!
//! ```
//! use arrow::array::{ArrayRef, Int64Array};
//! use std::sync::Arc;
//! let column: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None]));
//! let series = cartulaire_bridge::to_series("effectif", &column)?;
//! let back = cartulaire_bridge::to_array(&series)?;
//! assert_eq!(&column, &back);
//! # Ok::<(), cartulaire_bridge::BridgeError>(())
//! ```

use arrow::array::{Array, ArrayRef, RecordBatch, make_array};
use arrow::ffi::{FFI_ArrowArray, FFI_ArrowSchema, from_ffi, to_ffi};
use polars::prelude::{Column, CompatLevel, DataFrame, PolarsError, Series};
use polars_arrow::datatypes::Field as PlField;
use polars_arrow::ffi as pl_ffi;

/// Why a column could not cross.
#[derive(Debug, thiserror::Error)]
pub enum BridgeError {
    /// arrow-rs refused the column.
    #[error("arrow: {0}")]
    Arrow(#[from] arrow::error::ArrowError),
    /// polars refused the column.
    #[error("polars: {0}")]
    Polars(#[from] PolarsError),
}

// The moves below are only sound while both libraries follow the specification's layout.
const _: () = assert!(size_of::<FFI_ArrowArray>() == size_of::<pl_ffi::ArrowArray>());
const _: () = assert!(align_of::<FFI_ArrowArray>() == align_of::<pl_ffi::ArrowArray>());
const _: () = assert!(size_of::<FFI_ArrowSchema>() == size_of::<pl_ffi::ArrowSchema>());
const _: () = assert!(align_of::<FFI_ArrowSchema>() == align_of::<pl_ffi::ArrowSchema>());

/// An arrow-rs column as a polars series of the same length and type.
///
/// # Errors
/// When the type has no polars counterpart.
pub fn to_series(name: &str, array: &ArrayRef) -> Result<Series, BridgeError> {
    let (ffi_array, ffi_schema) = to_ffi(&array.to_data())?;
    // SAFETY: both types are the `repr(C)` struct of the C Data Interface (sizes and alignments
    // asserted above). `transmute` moves ownership: the source is not dropped, and the release
    // callback that arrow-rs stored is called exactly once, by polars.
    let (pl_array, pl_schema) = unsafe {
        (
            std::mem::transmute::<FFI_ArrowArray, pl_ffi::ArrowArray>(ffi_array),
            std::mem::transmute::<FFI_ArrowSchema, pl_ffi::ArrowSchema>(ffi_schema),
        )
    };
    // SAFETY: both structs were just filled by arrow-rs, so they are valid C Data Interface values.
    let imported = unsafe {
        let field = pl_ffi::import_field_from_c(&pl_schema)?;
        pl_ffi::import_array_from_c(pl_array, field.dtype)?
    };
    Ok(Series::from_arrow(name.into(), imported)?)
}

/// A polars series as one arrow-rs array (chunks are joined first). Text comes back as
/// `Utf8View`, the layout polars works with.
///
/// # Errors
/// When the type has no arrow-rs counterpart.
pub fn to_array(series: &Series) -> Result<ArrayRef, BridgeError> {
    let chunk = series.rechunk().to_arrow(0, CompatLevel::newest());
    let field = PlField::new(series.name().clone(), chunk.dtype().clone(), true);
    let pl_schema = pl_ffi::export_field_to_c(&field);
    let pl_array = pl_ffi::export_array_to_c(chunk);
    // SAFETY: as in `to_series`, in the other direction; the release callback is polars'.
    let (ffi_array, ffi_schema) = unsafe {
        (
            std::mem::transmute::<pl_ffi::ArrowArray, FFI_ArrowArray>(pl_array),
            std::mem::transmute::<pl_ffi::ArrowSchema, FFI_ArrowSchema>(pl_schema),
        )
    };
    // SAFETY: both structs were just exported by polars-arrow and match each other.
    let data = unsafe { from_ffi(ffi_array, &ffi_schema)? };
    Ok(make_array(data))
}

/// A whole record batch as a data frame with the same column names and order.
///
/// # Errors
/// When a column cannot cross.
pub fn to_frame(batch: &RecordBatch) -> Result<DataFrame, BridgeError> {
    let columns = batch
        .schema()
        .fields()
        .iter()
        .zip(batch.columns())
        .map(|(f, a)| to_series(f.name(), a).map(Column::from))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(DataFrame::new(batch.num_rows(), columns)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Date32Array, Int64Array, ListBuilder, StringArray, StringBuilder, StringViewArray};
    use proptest::prelude::*;
    use std::sync::Arc;

    fn there_and_back(a: &ArrayRef) -> ArrayRef {
        let s = to_series("c", a).expect("to polars");
        assert_eq!(s.len(), a.len());
        assert_eq!(s.null_count(), a.null_count());
        to_array(&s).expect("to arrow")
    }

    #[test]
    fn integers_cross_without_a_copy() {
        let a = Int64Array::from(vec![3, 1, 2]);
        let before = a.values().as_ptr();
        let back = there_and_back(&(Arc::new(a) as ArrayRef));
        let back = back.as_any().downcast_ref::<Int64Array>().expect("Int64");
        assert_eq!(before, back.values().as_ptr());
    }

    #[test]
    fn a_list_of_accented_text_keeps_its_nulls() {
        let mut b = ListBuilder::new(StringBuilder::new());
        b.append_value([Some("Éléonore"), None]);
        b.append_null();
        b.append_value(Vec::<Option<&str>>::new());
        let a: ArrayRef = Arc::new(b.finish());
        let s = to_series("l", &a).expect("to polars");
        assert_eq!((s.len(), s.null_count()), (3, 1));
    }

    #[test]
    fn a_sliced_column_keeps_its_offset() {
        let a: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, Some(3), Some(4)]).slice(1, 2));
        assert_eq!(&there_and_back(&a), &a);
    }

    proptest! {
        #[test]
        fn any_integers_come_back_equal(v in proptest::collection::vec(proptest::option::of(any::<i64>()), 0..200)) {
            let a: ArrayRef = Arc::new(Int64Array::from(v));
            prop_assert_eq!(&there_and_back(&a), &a);
        }

        #[test]
        fn any_dates_come_back_equal(v in proptest::collection::vec(proptest::option::of(any::<i32>()), 0..200)) {
            let a: ArrayRef = Arc::new(Date32Array::from(v));
            prop_assert_eq!(&there_and_back(&a), &a);
        }

        #[test]
        fn any_text_comes_back_equal(v in proptest::collection::vec(proptest::option::of(".{0,40}"), 0..100)) {
            let a: ArrayRef = Arc::new(StringArray::from(v.clone()));
            let want: ArrayRef = Arc::new(StringViewArray::from(v));
            prop_assert_eq!(&there_and_back(&a), &want);
        }
    }
}
