depth=
if [ "$(g rev-parse --is-shallow-repository)" = true ]; then depth=--depth=1; fi
has() { [ "$(g cat-file -t "$U_TARGET" 2>/dev/null)" = commit ] && g cat-file -e "$U_TARGET^{tree}" 2>/dev/null; }
# The commit alone first; a server that gives no commit by its hash gives all branches and tags.
has || g fetch --quiet --no-tags --no-recurse-submodules $depth origin "$U_TARGET" 2>"$U_JOB/first" || :
# Under names of our own, so that nobody's tags and branches move.
has || g fetch --quiet --no-tags --prune --no-recurse-submodules $depth origin \
  '+refs/heads/*:refs/uphaul/seen/*' '+refs/tags/*:refs/uphaul/tags/*' || {
  cat "$U_JOB/first"; fail "git fetch from origin failed"; }
has || { cat "$U_JOB/first"; fail "origin has no commit $U_TARGET any more (was the branch force-pushed?)"; }
g update-ref refs/uphaul/target "$U_TARGET" || fail 'refs/uphaul/target cannot be written'
[ -z "$U_SIGNERS" ] || signed
in_way=$(way_of "$U_TARGET")
[ -z "$in_way" ] || fail "untracked files are in the way of the target: $in_way; move or remove them"
