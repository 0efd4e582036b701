# Finds the one commit that a ref means. Touches no working tree. `fault` is what only this host cannot do, and another
# may; `error` is what is wrong with the ref.
git -C "$U_DIR" rev-parse --absolute-git-dir >/dev/null 2>&1 || { say fault "$U_DIR is not a git checkout that $me may read"; exit 0; }
say remote "$(g config --get remote.origin.url | plain_url)"
limited='timeout --foreground -k 5 "$U_GIT_S"'
hex() { case $1 in *[!0-9a-f]*) return 1 ;; esac; [ "${#1}" -ge 4 ] && [ "${#1}" -le 64 ]; }
list=$(g ls-remote --quiet origin 2>&1) || {
  case $? in
  124 | 137) say fault "git ls-remote origin: no answer within $U_GIT_S s" ;;
  *) say fault "git ls-remote origin failed" ;;
  esac
  printf '%s\n' "$list" | plain_url | tail -n 3 | while IFS= read -r _l; do say detail "$_l"; done; exit 0; }
of() { printf '%s\n' "$list" | sed -n "s#^\\([0-9a-f]*\\)[[:space:]]*$1\$#\\1#p" | head -n 1; }
# A ref has no character that a regular expression of sed would misread, but for the dot and the dollar.
name=$(printf '%s' "$U_REF" | sed 's/[.$#]/\\&/g')
branch=$(of "refs/heads/$name"); tag=$(of "refs/tags/$name^{}"); [ -n "$tag" ] || tag=$(of "refs/tags/$name")
exact=$(of "$name"); peeled=$(of "$name^{}"); [ -z "$peeled" ] || exact=$peeled
if [ -n "$branch" ] && [ -n "$tag" ] && [ "$branch" != "$tag" ]; then
  say error "$U_REF is a branch ($branch) and a tag ($tag); say refs/heads/$U_REF or refs/tags/$U_REF"; exit 0
fi
found=${branch:-${tag:-$exact}}
[ -z "$branch" ] || say kind branch
[ -z "$tag" ] || say kind tag
if [ -n "$found" ]; then say commit "$found"; exit 0; fi
hex "$U_REF" || { say error "origin has no branch and no tag $U_REF"; exit 0; }
say kind hash
# Tips first; then the objects that are here; then all that origin has.
find_hash() {
  tips=$(printf '%s\n' "$list" | sed -n "s/^\\($U_REF[0-9a-f]*\\)[[:space:]].*/\\1/p" | sort -u)
  here=$(g rev-parse "--disambiguate=$U_REF" 2>/dev/null | while IFS= read -r _o; do
    [ "$(g cat-file -t "$_o" 2>/dev/null)" = commit ] && printf '%s\n' "$_o"; done)
  printf '%s\n%s\n' "$tips" "$here" | sed '/^$/d' | while IFS= read -r _o; do
    # A tip may be an annotated tag: what counts is the commit behind it.
    g rev-parse --verify --quiet "$_o^{commit}" || printf '%s\n' "$_o"; done | sort -u
}
found=$(find_hash)
if [ -z "$found" ] || [ "${#U_REF}" -lt 40 ]; then
  if [ "$(g rev-parse --is-shallow-repository)" = true ]; then
    g fetch --quiet --no-tags --prune --depth=1000 origin '+refs/heads/*:refs/uphaul/seen/*' >/dev/null 2>&1
  else
    g fetch --quiet --no-tags --prune --no-recurse-submodules origin '+refs/heads/*:refs/uphaul/seen/*' '+refs/tags/*:refs/uphaul/tags/*' >/dev/null 2>&1
  fi
  found=$(find_hash)
fi
if [ -z "$found" ] && [ "${#U_REF}" -ge 40 ]; then
  g fetch --quiet --no-tags origin "$U_REF" >/dev/null 2>&1; found=$(find_hash)
fi
case $(printf '%s\n' "$found" | sed '/^$/d' | wc -l) in
0) say error "origin has no commit that begins with $U_REF" ;;
1) say commit "$found" ;;
*) say error "$U_REF is ambiguous: $(printf '%s' "$found" | tr '\n' ' ')" ;;
esac
