head=$(head_now) || fail "$U_DIR has no commit checked out"
healthy=0
if seen=$(awake) && seen=$(probe); then healthy=1; fi
if [ "$head" != "$U_RECORDED" ] && [ "$U_ACCEPT_DRIFT" != 1 ]; then
  [ -z "$U_RECORDED" ] || fail "the host runs $head, and the record says $U_RECORDED"
  [ "$healthy" = 1 ] || fail "nothing is recorded of this host, and what it runs is not healthy: $seen"
fi
g update-ref refs/uphaul/previous "$head" || fail 'refs/uphaul/previous cannot be written'
# Room for the results of the way back, bytes and inodes, on a disk that the install may fill.
if [ ! -d "$U_STATE/reserve" ]; then
  rm -f "$U_STATE/reserve"; mkdir "$U_STATE/reserve" && (
    cd "$U_STATE/reserve" && dd if=/dev/zero of=room bs=65536 count=16
    n=0; while [ "$n" -lt 200 ] && : >"$n"; do n=$((n + 1)); done) 2>/dev/null || :
fi
for _old in "$U_STATE"/jobs/*; do case $_old in "$U_STATE/jobs/$U_RUN".*) ;; *) rm -rf -- "$_old" ;; esac; done
for _old in "$U_STATE"/runs/*; do [ "$_old" = "$kept" ] || rm -rf -- "$_old"; done
printf '%s' "$head" >"$kept/previous" || fail 'the disk is full'
result previous "$head"
result healthy "$healthy"
[ "$healthy" = 1 ] || printf 'not healthy before the update: %s\n' "$seen"
