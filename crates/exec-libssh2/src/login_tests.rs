use super::order;

#[test]
fn of_an_agent_only_what_is_named_is_offered_where_the_config_says_so() {
    let held: [&[u8]; 5] = [b"other", b"key", b"cert of key", b"cert of other", b"key"];
    let wanted = |names: &[&str]| names.iter().map(|name| name.as_bytes().to_vec()).collect::<Vec<_>>();
    for (names, only, places) in [
        (&["key"][..], true, &[1][..]),
        // A certificate counts where it is named itself.
        (&["cert of key", "key"], true, &[2, 1]),
        (&["cert of another"], true, &[]),
        (&[], true, &[]),
        (&["key", "key"], false, &[1, 0, 2, 3, 4]),
        (&[], false, &[0, 1, 2, 3, 4]),
    ] {
        assert_eq!(order(&held, &wanted(names), only), places, "{names:?} {only}");
    }
}
