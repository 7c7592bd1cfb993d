//! Rules across columns: SQL boolean expressions, read and evaluated by polars on the typed columns
//! of a batch. There is no language of ours.

use super::column::arrow_type;
use crate::contract::{ColumnSpec, ColumnType, Contract};
use crate::error::{Error, Result};
use arrow::array::{ArrayRef, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use cartulaire_bridge::to_series;
use polars::prelude::{Column, DataFrame, Expr, IntoLazy};
use polars::sql::sql_expr;

/// Rules of a contract, parsed once.
pub struct Rules {
    expressions: Vec<Expr>,
    columns: Vec<usize>,
}

/// Columns that an expression names, in order.
///
/// # Errors
/// Why it is not an expression, in French.
pub fn sql_columns(sql: &str) -> Result<Vec<String>, String> {
    let expression = sql_expr(sql).map_err(|_| "elle ne se lit pas comme une expression SQL".to_owned())?;
    let names: Vec<String> = expression.meta().root_names().iter().map(ToString::to_string).collect();
    if names.is_empty() {
        return Err("elle ne nomme aucune colonne".into());
    }
    Ok(names)
}

/// Whether an expression gives one truth value a record, on columns of these types.
///
/// # Errors
/// Why it does not, in French.
pub fn check_types(sql: &str, columns: &[&ColumnSpec]) -> Result<(), String> {
    let expression = sql_expr(sql).map_err(|_| "elle ne se lit pas comme une expression SQL".to_owned())?;
    let frame = columns
        .iter()
        .map(|c| {
            let null = new_null_array(&arrow_type(c), 2);
            series(c, &null).map_err(|_| format!("la colonne « {} » n'a pas de type comparable", c.name))
        })
        .collect::<Result<Vec<Column>, String>>()?;
    let frame = DataFrame::new(2, frame).map_err(|_| "colonnes répétées".to_owned())?;
    let answer = frame.lazy().select([expression.alias("r")]).collect();
    let answer = answer.map_err(|_| "elle compare des types qui ne se comparent pas".to_owned())?;
    let column = answer.column("r").map_err(|_| "elle ne donne rien".to_owned())?;
    if column.bool().is_err() {
        return Err("elle ne donne pas vrai ou faux".into());
    }
    if column.len() != 2 {
        return Err("elle réunit plusieurs enregistrements : une règle n'en regarde qu'un".into());
    }
    Ok(())
}

/// polars has no time of day in seconds: such a column is compared as text, `hh:mm:ss`.
fn series(spec: &ColumnSpec, array: &ArrayRef) -> Result<Column> {
    let array = if spec.kind == ColumnType::Time { cast(array, &DataType::Utf8)? } else { array.clone() };
    Ok(Column::from(to_series(&spec.name, &array)?))
}

impl Rules {
    /// Parses the rules; the contract's loader has already checked them.
    ///
    /// # Errors
    /// When polars no longer reads what it read at loading.
    pub fn new(contract: &Contract) -> Result<Self> {
        let expressions = contract
            .rules
            .iter()
            .enumerate()
            .map(|(i, r)| Ok(sql_expr(&r.sql).map_err(polars_error)?.alias(format!("r{i}"))))
            .collect::<Result<Vec<Expr>>>()?;
        let mut columns: Vec<usize> = contract.rules.iter().flat_map(|r| r.columns.iter().copied()).collect();
        columns.sort_unstable();
        columns.dedup();
        Ok(Rules { expressions, columns })
    }

    /// Rows that break each rule, in the order of the contract.
    ///
    /// # Errors
    /// When polars fails on columns that the contract's types allow.
    pub fn broken(&self, contract: &Contract, typed: &[ArrayRef], rows: usize) -> Result<Vec<Vec<usize>>> {
        if self.expressions.is_empty() || rows == 0 {
            return Ok(Vec::new());
        }
        let columns = self
            .columns
            .iter()
            .filter_map(|i| Some((contract.columns.get(*i)?, typed.get(*i)?)))
            .map(|(spec, array)| series(spec, array))
            .collect::<Result<Vec<Column>>>()?;
        let frame = DataFrame::new(rows, columns).map_err(polars_error)?;
        let answer = frame.lazy().select(self.expressions.as_slice()).collect().map_err(polars_error)?;
        answer
            .columns()
            .iter()
            .map(|c| {
                let truth = c.bool().map_err(polars_error)?;
                Ok(truth.iter().enumerate().filter(|(_, t)| *t == Some(false)).map(|(row, _)| row).collect())
            })
            .collect()
    }
}

fn polars_error(e: polars::prelude::PolarsError) -> Error {
    Error::Corrupt(format!("règle SQL : {e}"))
}
