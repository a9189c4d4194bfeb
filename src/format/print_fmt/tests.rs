//! Print formats as real kernels write them.

use super::*;

fn expr(text: &str) -> Result<Expr, ExprError> {
    let mut parsed = PrintFmt::parse(&format!("\"%d\", {text}"));
    assert_eq!(parsed.args.len(), 1, "{text}");
    parsed.args.remove(0).expr
}

/// The tree with brackets around every operator.
fn tree(expr: &Expr) -> String {
    match expr {
        Expr::Integer(n) => format!("{}", n.value),
        Expr::Str(bytes) => format!("{:?}", String::from_utf8_lossy(bytes)),
        Expr::Record => "REC".into(),
        Expr::Field(name) => format!("REC->{name}"),
        Expr::Name(name) => name.clone(),
        Expr::Member(base, name) => format!("{}.{name}", tree(base)),
        Expr::Index(base, index) => format!("{}[{}]", tree(base), tree(index)),
        Expr::Call(name, args) => format!("{name}({})", list(args)),
        Expr::Unary(op, operand) => format!("{op:?}<{}>", tree(operand)),
        Expr::Binary(op, a, b) => format!("({} {op:?} {})", tree(a), tree(b)),
        Expr::Ternary(c, a, b) => format!("({} ? {} : {})", tree(c), tree(a), tree(b)),
        Expr::OrElse(a, b) => format!("({} ?: {})", tree(a), tree(b)),
        Expr::Cast(name, operand) => format!("cast[{}]<{}>", type_name(name), tree(operand)),
        Expr::Compound(member, value) => format!("{{.{member} = {}}}", tree(value)),
        Expr::SizeofType(name) => format!("sizeof[{}]", type_name(name)),
        Expr::SizeofExpr(operand) => format!("sizeof<{}>", tree(operand)),
        Expr::Braces(items) => format!("{{{}}}", list(items)),
        Expr::Block(bindings, value) => {
            let bindings: String = bindings.iter().map(|b| format!("{} = {}; ", b.name, tree(&b.value))).collect();
            format!("let {bindings}{}", tree(value))
        }
        Expr::Type(name) => type_name(name),
    }
}

fn list(items: &[Expr]) -> String {
    items.iter().map(tree).collect::<Vec<_>>().join(", ")
}

fn type_name(name: &TypeName) -> String {
    format!("{}{}", name.words.join(" "), "*".repeat(name.stars))
}

#[test]
fn operators_bind_as_in_c() {
    let table = [
        ("1 + 2 * 3 << 4", "((1 Add (2 Multiply 3)) ShiftLeft 4)"),
        ("a & b == c", "(a BitAnd (b Equal c))"),
        ("a & (b | c)", "(a BitAnd (b BitOr c))"),
        ("a - b - c", "((a Subtract b) Subtract c)"),
        ("a || b && c | d ^ e & f", "(a Or (b And (c BitOr (d BitXor (e BitAnd f)))))"),
        ("a ? b : c ? d : e", "(a ? b : (c ? d : e))"),
        ("a ?: b", "(a ?: b)"),
        ("!a == b", "(Not<a> Equal b)"),
        ("-1 < 0", "(Negate<1> Less 0)"),
        ("~REC->a & 1", "(Complement<REC->a> BitAnd 1)"),
        ("(REC)->top_delta_ts", "REC->top_delta_ts"),
        ("REC->next->id", "REC->next.id"),
        ("REC->args[1 + 1]", "REC->args[(1 Add 1)]"),
        ("__get_str(msg)[0] ? \" \" : \"\"", "(__get_str(msg)[0] ? \" \" : \"\")"),
        ("&REC->saddr", "AddressOf<REC->saddr>"),
    ];
    for (text, expected) in table {
        assert_eq!(tree(&expr(text).unwrap()), expected, "{text}");
    }
}

#[test]
fn parentheses_hold_a_type_or_a_value() {
    let table = [
        ("( gfp_t)0x400u", "cast[gfp_t]<1024>"),
        ("( unsigned long)(( gfp_t)0)", "cast[unsigned long]<cast[gfp_t]<0>>"),
        ("(void *)REC->ip", "cast[void*]<REC->ip>"),
        ("((struct page *)vmemmap_base) + (REC->pfn)", "(cast[struct page*]<vmemmap_base> Add REC->pfn)"),
        ("(unsigned long)-4095", "cast[unsigned long]<Negate<4095>>"),
        ("(A) - 1", "(A Subtract 1)"),
        ("(int64_t)-1", "cast[int64_t]<Negate<1>>"),
        ("(const char *)REC->name", "cast[char*]<REC->name>"),
        ("sizeof(u64)", "sizeof[u64]"),
        ("sizeof(struct page)", "sizeof[struct page]"),
        ("(u64)(((ktime_t) { .tv64 = REC->now }).tv64)", "cast[u64]<REC->now>"),
        ("(int)(sizeof(struct { int:(-!!(f(typeof((a)), typeof(&(a)[0])))); }))", "cast[int]<sizeof[struct {}]>"),
        ("sizeof(REC->hdr)", "sizeof<REC->hdr>"),
        ("(1UL) << (10)", "(1 ShiftLeft 10)"),
    ];
    for (text, expected) in table {
        assert_eq!(tree(&expr(text).unwrap()), expected, "{text}");
    }
}

#[test]
fn tables_may_be_empty_nested_and_hold_concatenated_names() {
    let text = "__print_symbolic(REC->e, { 0, \"#\" \"DE\" }, {1,\"x\"}, )";
    assert_eq!(tree(&expr(text).unwrap()), "__print_symbolic(REC->e, {0, \"#DE\"}, {1, \"x\"})");
    assert_eq!(tree(&expr("__print_symbolic(REC->e, { })").unwrap()), "__print_symbolic(REC->e, {})");
}

#[test]
fn a_min_as_a_statement_expression_is_a_value() {
    let text = "({ int __x = (REC->n); int __y = (128); ((__x) < (__y) ? (__x) : (__y)); })";
    let expected = "let __x = REC->n; __y = 128; ((__x Less __y) ? __x : __y)";
    assert_eq!(tree(&expr(text).unwrap()), expected);
}

#[test]
fn other_statement_expressions_are_an_error_of_their_argument_only() {
    let text = "\"%s %s\", ({ const char *p = f(q); static const char *a[] = { \"x\" }; p; }), REC->b ? \"n\" : \"e\"";
    let parsed = PrintFmt::parse(text);
    assert_eq!(parsed.args.len(), 2);
    assert_eq!(parsed.args[0].expr, Err(ExprError::Statements));
    assert!(parsed.args[1].expr.is_ok());
    assert_eq!(parsed.args[1].text, "REC->b ? \"n\" : \"e\"");
}

#[test]
fn the_literal_may_hold_line_breaks_bare_quotes_and_be_in_parts() {
    let table: [(&str, &[u8], usize); 7] = [
        ("\"a\n b\tc %d\", REC->a", b"a\n b\tc %d", 1),
        ("\"%s, warn=\"%s\"\", REC->dw_name, __get_str(warn)", b"%s, warn=\"%s\"", 2),
        ("\"instr=\"%s\" addr=0x%llx\", __get_str(instr), REC->addr", b"instr=\"%s\" addr=0x%llx", 2),
        ("\"(%lx) s=\\\"%s\\\"\", REC->__probe_ip, __get_str(s)", b"(%lx) s=\"%s\"", 2),
        ("\"\\t=> %ps\\n\" \"\\t=> %ps\", REC->a, REC->b", b"\t=> %ps\n\t=> %ps", 2),
        ("\"\"", b"", 0),
        ("\"%s\", REC->a, \"b\"", b"%s", 2),
    ];
    for (text, literal, args) in table {
        let parsed = PrintFmt::parse(text);
        assert_eq!((parsed.literal.as_slice(), parsed.args.len()), (literal, args), "{text}");
    }
}

#[test]
fn depth_is_limited() {
    for text in
        ["(".repeat(100_000), "-".repeat(100_000), "a+".repeat(100_000), "a?".repeat(100_000), "a.b".repeat(100_000)]
    {
        let parsed = PrintFmt::parse(&format!("\"\", {text}"));
        assert!(parsed.args.iter().all(|a| a.expr.is_err()));
    }
}
