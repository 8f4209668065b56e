//! What is written in the parentheses of the attribute.

use proc_macro2::Span;
use syn::{
    Error, Ident, LitInt, LitStr, Result, Token,
    ext::IdentExt,
    parse::{Parse, ParseStream},
};

use crate::function::{Function, Outcome};

/// The options of one function.
#[derive(Default)]
pub(crate) struct Options {
    /// The name on the network, if it is not the identifier.
    pub(crate) name: Option<String>,
    /// Set by `once`.
    pub(crate) once: bool,
    /// Set by `inline`; where it was written.
    pub(crate) inline: Option<Span>,
    /// How many run at a time; where it was written.
    pub(crate) concurrency: Option<(u32, Span)>,
}

impl Options {
    /// Refuses options that contradict the function or each other.
    pub(crate) fn check_against(&self, function: &Function) -> Result<()> {
        let Some(inline) = self.inline else {
            return Ok(());
        };
        if matches!(function.result, Outcome::Stream(_)) {
            return Err(Error::new(
                inline,
                "a function that streams its results cannot be `inline`: it runs on, so leave `inline` out",
            ));
        }
        if function.is_async {
            return Err(Error::new(
                inline,
                "an `async fn` cannot be `inline`: it never occupies the compute pool, so leave \
                 `inline` out",
            ));
        }
        if let Some((_, concurrency)) = self.concurrency {
            return Err(Error::new(
                concurrency,
                "an `inline` function runs where its call arrives, and waits in no queue: leave \
                 `concurrency` or `inline` out",
            ));
        }
        Ok(())
    }

    /// Takes one option in; `written` are the names of those before it.
    fn absorb(&mut self, input: ParseStream<'_>, written: &mut Vec<Ident>) -> Result<()> {
        let option = input.call(Ident::parse_any)?;
        if written.contains(&option) {
            return Err(Error::new(option.span(), format!("`{option}` is given twice")));
        }
        match option.to_string().as_str() {
            "name" => self.name = Some(name(input, &option)?),
            "once" => self.once = flag(input, &option)?,
            "inline" => self.inline = flag(input, &option)?.then_some(option.span()),
            "concurrency" => {
                self.concurrency = Some((concurrency(input, &option)?, option.span()));
            }
            _ => {
                return Err(Error::new(option.span(), format!("unknown option `{option}`: known are {KNOWN}")));
            }
        }
        written.push(option);
        Ok(())
    }
}

impl Parse for Options {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut options = Self::default();
        let mut written = Vec::new();
        while !input.is_empty() {
            if !input.peek(Ident::peek_any) {
                return Err(input.error(format!("an option is expected: {KNOWN}")));
            }
            options.absorb(input, &mut written)?;
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(options)
    }
}

/// The rest of `name = "math.add"`.
fn name(input: ParseStream<'_>, option: &Ident) -> Result<String> {
    let literal: LitStr = value(input, option, "name = \"math.add\"")?;
    let name = literal.value();
    match name_fault(&name) {
        Some(fault) => Err(Error::new(literal.span(), fault)),
        None => Ok(name),
    }
}

/// Why a name cannot be used on the network.
fn name_fault(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("a name has at least one byte")
    } else if name.len() > NAME_BYTES_MAX {
        Some("a name has at most 255 bytes")
    } else if name.chars().any(char::is_control) {
        Some("a name has no control characters")
    } else if name.starts_with("guthi.") {
        Some("names that begin with `guthi.` are reserved for the framework")
    } else {
        None
    }
}

/// The rest of `concurrency = 4`.
fn concurrency(input: ParseStream<'_>, option: &Ident) -> Result<u32> {
    let literal: LitInt = value(input, option, "concurrency = 4")?;
    match literal.base10_parse()? {
        0 => Err(Error::new(literal.span(), "with `concurrency = 0` the function could never run: the least is 1")),
        limit => Ok(limit),
    }
}

/// The literal behind `option =`.
fn value<T: Parse>(input: ParseStream<'_>, option: &Ident, example: &str) -> Result<T> {
    let literal = input.parse::<Token![=]>().and_then(|_| input.fork().parse::<T>());
    if literal.is_err() {
        return Err(Error::new(option.span(), format!("`{option}` needs a literal value: `{example}`")));
    }
    input.parse()
}

/// The rest of an option without a value.
fn flag(input: ParseStream<'_>, option: &Ident) -> Result<bool> {
    if input.peek(Token![=]) || input.peek(syn::token::Paren) {
        return Err(Error::new(option.span(), format!("`{option}` takes no value: write `{option}` or leave it out")));
    }
    Ok(true)
}

const KNOWN: &str = "`name = \"..\"`, `once`, `inline` and `concurrency = n`";
const NAME_BYTES_MAX: usize = 255;
