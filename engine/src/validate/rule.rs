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
            .map(|(i, r)| {
                let expression = sql_expr(&r.sql).map_err(|_| failed(contract, Some(i)))?;
                Ok(expression.alias(format!("r{i}")))
            })
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
            .collect::<Result<Vec<Column>>>()
            .map_err(|_| failed(contract, None))?;
        let frame = DataFrame::new(rows, columns).map_err(|_| failed(contract, None))?.lazy();
        let answer = frame.clone().select(self.expressions.as_slice()).collect().map_err(|_| {
            let alone = |e: &Expr| frame.clone().select([e.clone()]).collect();
            failed(contract, self.expressions.iter().position(|e| alone(e).is_err()))
        })?;
        let columns = answer.columns().iter().enumerate();
        columns
            .map(|(i, c)| {
                let truth = c.bool().map_err(|_| failed(contract, Some(i)))?;
                Ok(truth.iter().enumerate().filter(|(_, t)| *t == Some(false)).map(|(row, _)| row).collect())
            })
            .collect()
    }
}

/// What polars says may hold a value of the records: only the rule is told.
fn failed(contract: &Contract, rule: Option<usize>) -> Error {
    let rule = match rule.and_then(|i| contract.rules.get(i)) {
        Some(rule) => format!("la règle « {} »", rule.name),
        None => "une règle".to_owned(),
    };
    Error::Usage(format!(
        "{rule} du contrat « {} » ne se calcule pas sur ces données : corrigez son expression SQL (une conversion qui échoue, un calcul hors bornes), puis relancez",
        contract.name
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::StringArray;
    use std::sync::Arc;

    const CONTRACT: &str = r#"
[table]
name = "essai"
title = "Essai"
description = "Essai"
source = "essai"
record_class = "essai"
key = ["code"]
school_year_from = "delivery"

[input]
format = "csv"

[[column]]
name = "code"
type = "text"
personal = "direct"

[[rule]]
name = "code_present"
sql = "code IS NOT NULL"
message = "le code manque"

[[rule]]
name = "code_positif"
sql = "CAST(code AS INTEGER) > 0"
message = "le code n'est pas positif"
"#;

    #[test]
    fn a_rule_that_fails_on_a_value_is_named_and_the_value_is_not() {
        let contract = Contract::parse("essai.toml", CONTRACT).unwrap();
        let rules = Rules::new(&contract).unwrap();
        let broken = |value: &str| {
            let column: ArrayRef = Arc::new(StringArray::from(vec!["12", value]));
            rules.broken(&contract, &[column], 2)
        };
        assert_eq!(broken("-3").unwrap(), [vec![], vec![1]]);
        let said = broken("NOM-INVENTÉ").unwrap_err().to_string();
        assert!(said.contains("« code_positif » du contrat « essai »"), "{said}");
        assert!(!said.contains("INVENT"), "{said}");
    }
}
