//! The C expression grammar (C11 6.5) over tokens.
//!
//! Precedence climbing over a slice of tokens; nom is used in the [lexer](super::lexer). Depth is counted, so that
//! ten thousand parentheses are an error and not a stack overflow.

use super::{
    ExprError, MAX_DEPTH,
    expr::{BinaryOp, Binding, Expr, Literal, TypeName, UnaryOp},
    lexer::{Spanned, Token},
};

type Parsed<T> = Result<T, ExprError>;

/// Parses all of `tokens`, which stand in `text`.
pub(super) fn expression(text: &str, tokens: &[Spanned<'_>]) -> Parsed<Expr> {
    let mut parser = Parser { text, tokens, at: 0, depth: 0 };
    let expr = parser.ternary()?;
    match parser.peek() {
        None => Ok(expr),
        Some(_) => Err(parser.unexpected("an operator")),
    }
}

struct Parser<'a> {
    text: &'a str,
    tokens: &'a [Spanned<'a>],
    at: usize,
    depth: usize,
}

/// Words that a type's name may consist of, besides `struct`, `union` and `enum` with their tags.
const TYPE_WORDS: [&str; 31] = [
    "unsigned", "signed", "char", "short", "int", "long", "void", "bool", "_Bool", "float", "double", "u8", "u16",
    "u32", "u64", "s8", "s16", "s32", "s64", "__u8", "__u16", "__u32", "__u64", "__s8", "__s16", "__s32", "__s64",
    "uint", "ulong", "ushort", "uchar",
];
const QUALIFIERS: [&str; 9] =
    ["const", "volatile", "__force", "__user", "__rcu", "__percpu", "__iomem", "__kernel", "__bitwise"];

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&'a Token<'a>> {
        self.tokens.get(self.at).map(|t| &t.token)
    }

    fn peek_at(&self, ahead: usize) -> Option<&'a Token<'a>> {
        self.tokens.get(self.at + ahead).map(|t| &t.token)
    }

    fn unexpected(&self, expected: &'static str) -> ExprError {
        let found = self.tokens.get(self.at).and_then(|t| self.text.get(t.start..t.end)).unwrap_or_default();
        ExprError::Unexpected { expected, found: found.to_owned() }
    }

    fn is(&self, punctuation: &str) -> bool {
        matches!(self.peek(), Some(Token::Punct(p)) if *p == punctuation)
    }

    fn eat(&mut self, punctuation: &str) -> bool {
        let is = self.is(punctuation);
        self.at += usize::from(is);
        is
    }

    fn expect(&mut self, punctuation: &'static str) -> Parsed<()> {
        if self.eat(punctuation) { Ok(()) } else { Err(self.unexpected(punctuation)) }
    }

    fn word(&mut self) -> Parsed<&'a str> {
        match self.peek() {
            Some(Token::Word(word)) => {
                self.at += 1;
                Ok(word)
            }
            _ => Err(self.unexpected("a name")),
        }
    }

    /// Runs `parse` one level deeper.
    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= MAX_DEPTH {
            return Err(ExprError::TooDeep);
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    fn ternary(&mut self) -> Parsed<Expr> {
        self.nested(|p| {
            let condition = p.binary(1)?;
            if !p.eat("?") {
                return Ok(condition);
            }
            if p.eat(":") {
                return Ok(Expr::OrElse(Box::new(condition), Box::new(p.ternary()?)));
            }
            let yes = p.ternary()?;
            p.expect(":")?;
            let no = p.ternary()?;
            Ok(Expr::Ternary(Box::new(condition), Box::new(yes), Box::new(no)))
        })
    }

    /// Infix operators that bind at least as strongly as `strength`; all associate to the left.
    fn binary(&mut self, strength: u8) -> Parsed<Expr> {
        let mut left = self.unary()?;
        let mut length = 0;
        while let Some(Token::Punct(p)) = self.peek() {
            let Some((op, binds)) = BinaryOp::of(p).filter(|(_, binds)| *binds >= strength) else { break };
            self.at += 1;
            let right = self.nested(|p| p.binary(binds + 1))?;
            left = Expr::Binary(op, Box::new(left), Box::new(right));
            // `a | b | c …` nests to the left, so it counts as depth for whoever walks the tree.
            length += 1;
            if length > MAX_DEPTH {
                return Err(ExprError::TooDeep);
            }
        }
        Ok(left)
    }

    fn unary(&mut self) -> Parsed<Expr> {
        let op = match self.peek() {
            Some(Token::Punct("-")) => UnaryOp::Negate,
            Some(Token::Punct("+")) => UnaryOp::Plus,
            Some(Token::Punct("!")) => UnaryOp::Not,
            Some(Token::Punct("~")) => UnaryOp::Complement,
            Some(Token::Punct("*")) => UnaryOp::Dereference,
            Some(Token::Punct("&")) => UnaryOp::AddressOf,
            Some(Token::Word("sizeof")) => return self.sizeof(),
            Some(Token::Punct("(")) if self.is_cast() => return self.nested(Self::cast),
            _ => return self.postfix(),
        };
        self.at += 1;
        let operand = self.nested(Self::unary)?;
        Ok(Expr::Unary(op, Box::new(operand)))
    }

    fn cast(&mut self) -> Parsed<Expr> {
        self.expect("(")?;
        let type_name = self.type_name()?;
        self.expect(")")?;
        if self.eat("{") {
            self.expect(".")?;
            let member = self.word()?.to_owned();
            self.expect("=")?;
            let value = self.ternary()?;
            self.expect("}")?;
            return Ok(Expr::Compound(member, Box::new(value)));
        }
        Ok(Expr::Cast(type_name, Box::new(self.unary()?)))
    }

    fn sizeof(&mut self) -> Parsed<Expr> {
        self.at += 1;
        if self.is("(") && (self.type_ahead(1) || self.lone_word_ahead()) {
            self.at += 1;
            let type_name = self.type_name()?;
            self.expect(")")?;
            return Ok(Expr::SizeofType(type_name));
        }
        let operand = self.nested(Self::unary)?;
        Ok(Expr::SizeofExpr(Box::new(operand)))
    }

    /// Whether `( word )` comes next, which after `sizeof` is a type: no variable of the kernel's is in scope here.
    fn lone_word_ahead(&self) -> bool {
        matches!(
            (self.peek_at(1), self.peek_at(2)),
            (Some(Token::Word(word)), Some(Token::Punct(")"))) if *word != "REC"
        )
    }

    /// Whether the next parenthesis holds a type. An unknown word in parentheses, such as `( gfp_t)`, is a type if
    /// what follows cannot continue an expression.
    fn is_cast(&self) -> bool {
        if self.type_ahead(1) {
            return true;
        }
        let (Some(Token::Word(word)), mut next) = (self.peek_at(1), 2) else { return false };
        while matches!(self.peek_at(next), Some(Token::Punct("*"))) {
            next += 1;
        }
        if *word == "REC" || !matches!(self.peek_at(next), Some(Token::Punct(")"))) {
            return false;
        }
        let operand_follows = matches!(
            self.peek_at(next + 1),
            Some(Token::Word(_) | Token::Number(_) | Token::Str(_) | Token::Punct("(" | "{" | "~" | "!"))
        );
        next > 2
            || operand_follows
            || word.ends_with("_t")
                && self.peek_at(next + 1).is_some_and(|t| matches!(t, Token::Punct("-" | "+" | "&" | "*")))
    }

    /// Whether a type's name begins `ahead` tokens from here.
    fn type_ahead(&self, ahead: usize) -> bool {
        match self.peek_at(ahead) {
            Some(Token::Word(word)) => {
                TYPE_WORDS.contains(word)
                    || QUALIFIERS.contains(word)
                    || matches!(*word, "struct" | "union" | "enum" | "typeof" | "__typeof__" | "__auto_type")
            }
            _ => false,
        }
    }

    fn type_name(&mut self) -> Parsed<TypeName> {
        let mut name = TypeName { words: vec![], stars: 0, of: None };
        loop {
            match self.peek() {
                Some(Token::Punct("*")) => {
                    name.stars += 1;
                    self.at += 1;
                }
                Some(Token::Word(word)) if QUALIFIERS.contains(word) => self.at += 1,
                Some(Token::Word(word)) if matches!(*word, "typeof" | "__typeof__") && name.words.is_empty() => {
                    self.at += 1;
                    self.expect("(")?;
                    let operand = self.type_or_expression()?;
                    self.expect(")")?;
                    match operand {
                        Expr::Type(inner) => name = inner,
                        other => {
                            name.of = Some(Box::new(other));
                            name.words = vec!["typeof".to_owned()];
                        }
                    }
                }
                // A second unknown word is a variable's name, not the type's.
                Some(Token::Word(word)) if name.stars == 0 && self.continues_type(&name.words, word) => {
                    name.words.push((*word).to_owned());
                    self.at += 1;
                }
                // BUILD_BUG_ON_ZERO, a part of ARRAY_SIZE: a structure whose only member has no width.
                Some(Token::Punct("{")) if name.words == ["struct"] => {
                    name.words.push("{}".to_owned());
                    self.braced()?;
                }
                _ if name.words.is_empty() => return Err(self.unexpected("a type")),
                _ => return Ok(name),
            }
        }
    }

    /// Skips `{ … }`.
    fn braced(&mut self) -> Parsed<()> {
        let mut depth = 0;
        loop {
            match self.peek() {
                Some(Token::Punct("{")) => depth += 1,
                Some(Token::Punct("}")) => depth -= 1,
                Some(_) => {}
                None => return Err(self.unexpected("}")),
            }
            self.at += 1;
            if depth == 0 {
                return Ok(());
            }
        }
    }

    fn continues_type(&self, words: &[String], word: &str) -> bool {
        let builtin = |w: &str| matches!(w, "unsigned" | "signed" | "char" | "short" | "int" | "long" | "double");
        match words {
            [] => true,
            [tag] if matches!(tag.as_str(), "struct" | "union" | "enum") => true,
            _ => words.iter().all(|w| builtin(w)) && builtin(word),
        }
    }

    fn type_or_expression(&mut self) -> Parsed<Expr> {
        self.nested(|p| if p.type_ahead(0) { p.type_name().map(Expr::Type) } else { p.ternary() })
    }

    fn postfix(&mut self) -> Parsed<Expr> {
        let mut expr = self.primary()?;
        let mut length = 0;
        loop {
            expr = if self.eat("[") {
                let index = self.ternary()?;
                self.expect("]")?;
                Expr::Index(Box::new(expr), Box::new(index))
            } else if self.eat("->") || self.eat(".") {
                let name = self.word()?.to_owned();
                match expr {
                    Expr::Record => Expr::Field(name),
                    Expr::Compound(member, value) if member == name => *value,
                    base => Expr::Member(Box::new(base), name),
                }
            } else {
                return Ok(expr);
            };
            length += 1;
            if length > MAX_DEPTH {
                return Err(ExprError::TooDeep);
            }
        }
    }

    fn primary(&mut self) -> Parsed<Expr> {
        match self.peek() {
            Some(Token::Number(n)) => {
                self.at += 1;
                let super::lexer::Number { value, unsigned, longs, decimal } = *n;
                Ok(Expr::Integer(Literal { value, unsigned, longs, decimal }))
            }
            Some(Token::Str(_)) => Ok(Expr::Str(self.strings())),
            Some(Token::Punct("{")) => self.nested(Self::braces),
            Some(Token::Punct("(")) if matches!(self.peek_at(1), Some(Token::Punct("{"))) => self.nested(Self::block),
            Some(Token::Punct("(")) => {
                self.at += 1;
                let inside = self.ternary()?;
                self.expect(")")?;
                Ok(inside)
            }
            Some(Token::Word(word)) => {
                self.at += 1;
                if *word == "REC" {
                    return Ok(Expr::Record);
                }
                if self.eat("(") {
                    return Ok(Expr::Call((*word).to_owned(), self.list(")")?));
                }
                Ok(Expr::Name((*word).to_owned()))
            }
            _ => Err(self.unexpected("a value")),
        }
    }

    /// Joins adjacent string literals.
    fn strings(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while let Some(Token::Str(part)) = self.peek() {
            bytes.extend_from_slice(part);
            self.at += 1;
        }
        bytes
    }

    fn braces(&mut self) -> Parsed<Expr> {
        self.expect("{")?;
        self.list("}").map(Expr::Braces)
    }

    /// Values between commas, up to and including `close`; a trailing comma is allowed.
    fn list(&mut self, close: &'static str) -> Parsed<Vec<Expr>> {
        let mut items = Vec::new();
        while !self.eat(close) {
            items.push(self.type_or_expression()?);
            if !self.eat(",") {
                self.expect(close)?;
                break;
            }
        }
        Ok(items)
    }

    /// `({ int x = (a); int y = (b); ((x) < (y) ? (x) : (y)); })`
    fn block(&mut self) -> Parsed<Expr> {
        self.expect("(")?;
        self.expect("{")?;
        let mut bindings = Vec::new();
        while let Some(binding) = self.binding()? {
            bindings.push(binding);
        }
        let value = self.ternary().map_err(statements)?;
        let ended = self.eat(";") && self.eat("}") && self.eat(")");
        if ended { Ok(Expr::Block(bindings, Box::new(value))) } else { Err(ExprError::Statements) }
    }

    /// `type name = value;`, if a declaration stands here.
    fn binding(&mut self) -> Parsed<Option<Binding>> {
        let two_words = matches!((self.peek(), self.peek_at(1)), (Some(Token::Word(_)), Some(Token::Word(_))));
        if !self.type_ahead(0) && !two_words {
            return Ok(None);
        }
        let type_name = self.type_name().map_err(statements)?;
        let name = self.word().map_err(statements)?.to_owned();
        if !self.eat("=") {
            return Err(ExprError::Statements);
        }
        let value = self.ternary().map_err(statements)?;
        self.expect(";").map_err(statements)?;
        let inferred = type_name.of.is_some() || type_name.words == ["__auto_type"];
        Ok(Some(Binding { name, type_name: (!inferred).then_some(type_name), value }))
    }
}

/// Inside of `({ … })`, what is not an expression is a statement.
fn statements(error: ExprError) -> ExprError {
    match error {
        ExprError::TooDeep => ExprError::TooDeep,
        _ => ExprError::Statements,
    }
}
