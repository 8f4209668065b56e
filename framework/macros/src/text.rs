//! Source as people write it.

use proc_macro2::{Spacing, TokenStream, TokenTree};
use syn::{Ident, ext::IdentExt};

/// `r#type` is called `type`.
pub(crate) fn without_raw(name: &Ident) -> String {
    name.unraw().to_string()
}

/// Tokens without the spaces that nobody would write: `Vec<(u8, u8)>`.
pub(crate) fn compact(tokens: TokenStream) -> String {
    let mut text = String::new();
    for token in tokens {
        write_token(&mut text, token);
    }
    text
}

fn write_token(text: &mut String, token: TokenTree) {
    match token {
        TokenTree::Group(group) => {
            let inner = compact(group.stream());
            match group.delimiter() {
                proc_macro2::Delimiter::Parenthesis => *text += &format!("({inner})"),
                proc_macro2::Delimiter::Bracket => *text += &format!("[{inner}]"),
                proc_macro2::Delimiter::Brace => *text += &format!("{{ {inner} }}"),
                proc_macro2::Delimiter::None => *text += &inner,
            }
        }
        TokenTree::Punct(mark) if matches!(mark.as_char(), ',' | ';') => {
            *text += &format!("{mark} ");
        }
        TokenTree::Punct(mark) if matches!(mark.as_char(), '+' | '=' | '|') => {
            *text += &format!(" {mark} ");
        }
        // `name: Type` against `std::vec`.
        TokenTree::Punct(mark) if mark.as_char() == ':' => {
            let is_path = mark.spacing() == Spacing::Joint || text.ends_with(':');
            *text += if is_path { ":" } else { ": " };
        }
        TokenTree::Punct(mark) => text.push(mark.as_char()),
        TokenTree::Ident(_) | TokenTree::Literal(_) => {
            if text.ends_with(|last: char| last.is_alphanumeric() || last == '_') {
                text.push(' ');
            }
            *text += &token.to_string();
        }
    }
}
