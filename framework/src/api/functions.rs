use std::{collections::HashMap, sync::Arc};

use super::builder::check;
use crate::{
    BuildError, Function, StreamFunction,
    calls::function::{Definition, Registered},
};

/// A set of functions for a node.
#[derive(Clone, Debug, Default)]
pub struct Functions {
    definitions: Vec<&'static Definition>,
    missing: Vec<&'static str>,
}

impl Functions {
    /// All functions that are marked in this program.
    #[must_use]
    pub fn linked() -> Self {
        Self { definitions: inventory::iter::<Definition>().collect(), missing: Vec::new() }
    }

    /// None.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// These and one more, which must be marked in this program.
    #[must_use]
    pub fn with<F: Function>(self) -> Self {
        self.with_name(F::NAME)
    }

    /// These and one more that streams its results, which must be marked in this program.
    #[must_use]
    pub fn with_stream<F: StreamFunction>(self) -> Self {
        self.with_name(F::NAME)
    }

    fn with_name(mut self, name: &'static str) -> Self {
        match inventory::iter::<Definition>().find(|definition| definition.name == name) {
            Some(definition) => self.definitions.push(definition),
            None => self.missing.push(name),
        }
        self
    }

    pub(crate) fn registered(&self) -> Result<HashMap<String, Arc<Registered>>, BuildError> {
        let mut functions = HashMap::new();
        if let Some(name) = self.missing.first() {
            return Err(BuildError::NotMarked { function: (*name).to_owned() });
        }
        for definition in &self.definitions {
            let registered = definition.registered()?;
            check("function", &registered.name)?;
            let name = registered.name.clone();
            if functions.insert(name.clone(), Arc::new(registered)).is_some() {
                return Err(BuildError::DuplicateFunction { name });
            }
        }
        Ok(functions)
    }
}
