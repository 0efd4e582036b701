# What the body of every job shares.
result() { printf '%s=%s\n' "$1" "$2" >>"$U_JOB/result"; }
fail() { result found "$1"; printf 'uphaul: %s\n' "$1"; exit 3; }
kept=$U_STATE/runs/$U_RUN
mkdir -p "$kept" || fail "$kept cannot be made (disk full?)"
# What the run goes back to is known better here than when it was planned.
[ ! -s "$kept/previous" ] || U_ENV="$U_ENV UPHAUL_PREVIOUS=$(cat "$kept/previous")"
head_now() { g rev-parse --verify --quiet 'HEAD^{commit}'; }
# Fails unless HEAD is $1 and no tracked file differs from it. What it is goes into the answer: the driver compares too.
prove_tree() {
  _at=$(head_now)
  [ "$_at" = "$1" ] || fail "HEAD is ${_at:-unreadable} after the checkout of $1"
  dirty >/dev/null || fail "git status failed after the checkout of $1"
  _n=$(dirty | tr '\0\n' '\n?' | head -n 5)
  [ -z "$_n" ] || fail "tracked files differ from $1 right after its checkout (is .gitattributes at odds with what is committed? git add --renormalize mends that): $(printf '%s' "$_n" | tr '\n' ',')"
  result head "$_at" || fail 'what is checked out cannot be told (disk full?)'
}
# The tracked files that were changed, deleted or made something else since HEAD, each with what is there now, for
# `put_back` and the next preflight.
changed_max=1000
changed_files() {
  dirty | tr '\0' '\n' | sed -n 's/^ [MDT] //p' | head -n "$changed_max" | while IFS= read -r _f; do
    printf '%s %s\n' "$(content "$_f")" "$_f"
  done
}
# Whether all that differs from HEAD is what an install of ours left there.
own_edits() {
  [ -z "$(dirty | tr '\0' '\n' | grep -v '^ [MDT] ')" ] || return 1
  changed_files | while IFS= read -r _l; do grep -Fqx -- "$_l" "$U_STATE/installed" 2>/dev/null || exit 1; done
}
# Undoes what the install did to tracked files, unless somebody changed them since.
put_back() {
  [ -s "$U_STATE/installed" ] || return 0
  while IFS= read -r _line; do
    [ "$(content "${_line#* }")" = "${_line%% *}" ] && g checkout --quiet HEAD -- ":(literal)${_line#* }"
  done <"$U_STATE/installed"
  rm -f "$U_STATE/installed"
}
