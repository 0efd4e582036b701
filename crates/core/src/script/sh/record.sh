head=$(head_now) || fail "$U_DIR has no commit checked out"
healthy=0
if seen=$(awake) && seen=$(probe); then healthy=1; fi
if [ "$head" != "$U_RECORDED" ] && [ "$U_ACCEPT_DRIFT" != 1 ]; then
  [ -z "$U_RECORDED" ] || fail "the host runs $head, and the record says $U_RECORDED"
  [ "$healthy" = 1 ] || fail "nothing is recorded of this host, and what it runs is not healthy: $seen"
fi
g update-ref refs/uphaul/previous "$head" || fail 'refs/uphaul/previous cannot be written'
# Room for the way back, bytes and inodes, on a disk that may be full then: a part for each of its steps, and some to spare.
if [ ! -d "$U_STATE/reserve" ]; then
  rm -f "$U_STATE/reserve"; mkdir "$U_STATE/reserve" && (
    cd "$U_STATE/reserve" && for part in 1 2 3 4 5 6 7 8 9; do
      mkdir "$part" && dd if=/dev/zero of="$part/room" bs=65536 count=4 || break
      n=0; while [ "$n" -lt 30 ] && : >"$part/$n"; do n=$((n + 1)); done
    done) 2>/dev/null || :
fi
for _old in "$U_STATE"/jobs/*; do case $_old in "$U_STATE/jobs/$U_RUN".*) ;; *) rm -rf -- "$_old" ;; esac; done
for _old in "$U_STATE"/runs/*; do [ "$_old" = "$kept" ] || rm -rf -- "$_old"; done
printf '%s' "$head" >"$kept/previous" || fail 'the disk is full'
result previous "$head"
result healthy "$healthy"
[ "$healthy" = 1 ] || printf 'not healthy before the update: %s\n' "$seen"
