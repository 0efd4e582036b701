if [ "$U_PHASE" = rollback ] && [ ! -e "$kept/edits" ]; then
  # The update's checkout never came to touch anything: what differs is somebody's own, and stays.
  at=$(head_now)
  [ "$at" = "$U_TO" ] || fail "HEAD is $at, and this run changed nothing"
  result head "$at"
  exit 0
fi
# The run's first checkout begins only where git has no lock, and says so in `began`. So a lock that is there when `began`
# is, belongs to a git that came later and died. It goes only when no git lives on this checkout.
lock=$(g rev-parse --absolute-git-dir)/index.lock
if [ -e "$lock" ]; then
  alive= real=$(cd -P -- "$U_DIR" && pwd -P)
  for _p in /proc/[0-9]*; do
    case $(cat "$_p/comm" 2>/dev/null) in git | git-*) ;; *) continue ;; esac
    # One of another user hides where it is, and counts. One that ends hides it too, from before it is a zombie on: it has
    # given its memory back by then. So its memory is asked for after its place.
    _at=$(readlink "$_p/cwd" 2>/dev/null) || _at=$real
    case $(cat "$_p/status" 2>/dev/null) in *VmSize:*) ;; *) continue ;; esac
    case $_at/ in "$real"/*) alive=${_p#/proc/} ;; esac
  done
  [ -z "$alive" ] || fail "git (process $alive) is at work in $U_DIR"
  [ -e "$kept/began" ] || fail "$lock is older than this run's checkout and no git process is alive: look, and remove it"
  rm -f "$lock"
fi
[ -e "$kept/began" ] || : >"$kept/began"
if [ "$U_PHASE" = update ]; then
  # Edits by hand are kept whatever the policy says, once, before anything is touched.
  if [ ! -e "$kept/edits" ]; then
    hidden=$(hidden_edits)
    [ -z "$hidden" ] || fail "edits that git was told not to see would be lost (git update-index): $hidden"
    [ "$U_SUBMODULES" != 1 ] || [ -z "$(submodule_edits)" ] || fail "a submodule has edits by hand, which cannot be kept: $(submodule_edits)"
    # A file that was only touched, with nothing changed in any, makes `git stash create` fail: so git looks first.
    g update-index -q --refresh >/dev/null 2>&1 || :
    edits=$(g stash create "uphaul: edits before run $U_RUN") || fail 'git stash create failed'
    [ -z "$edits" ] || g update-ref "refs/uphaul/edits/$U_RUN" "$edits" || fail 'the edits cannot be kept'
    printf '%s' "$edits" >"$kept/edits.new" && mv -f "$kept/edits.new" "$kept/edits" || fail 'the disk is full'
    if [ -n "$edits" ]; then
      [ "$U_DIRTY" != refuse ] || own_edits || fail 'tracked files were changed by hand since the preflight'
      [ "$U_DIRTY" != stash ] || g stash store -m "uphaul: edits before run $U_RUN" "$edits" || fail 'git stash store failed'
    fi
  fi
else
  # The update's checkout may have died before it wrote its index: with the target's index, git knows its files.
  g read-tree "$U_TARGET" || fail 'git read-tree failed'
fi
g checkout --quiet --force --detach "$U_TO" || fail "git checkout of $U_TO failed"
if [ "$U_SUBMODULES" = 1 ]; then
  g submodule --quiet sync --recursive && g submodule --quiet update --init --recursive --force ||
    fail 'git submodule update failed'
fi
prove_tree "$U_TO"
if [ "$U_PHASE" = rollback ] && [ -s "$kept/edits" ]; then
  g stash apply --quiet "$(cat "$kept/edits")" || {
    # The old service comes up first; the rollback's verify says what is left to do.
    g checkout --quiet --force --detach "$U_TO" || fail "git checkout of $U_TO failed"
    : >"$kept/edits_failed"
  }
fi
