# Takes away what a dead-man's switch of a run that is over left behind, or one that acts no more. Nothing else is touched.
S=$(uphaul_dir) || { say fault "$U_DIR is not a git checkout, or not one that $me may read"; exit 0; }
unit=$(switch_unit 2>/dev/null) dead=
[ -d "$S/switch" ] || [ -e "$unit_dir/$unit" ] || { say fixed 'nothing was left behind'; exit 0; }
mkdir -p "$S" && chmod 700 "$S" && exec 9>>"$S/lock"
flock -w 10 9 || { say fault 'a step is at work, and holds the lock'; exit 0; }
read_claim "$S"
read_switch "$S"
settled() { case " $U_SETTLED " in *" $1 "*) true ;; *) false ;; esac; }
if claim_lives && ! settled "$c_run"; then say fault "held by $c_owner (run $c_run)"; exit 0; fi
case $s_state in
armed | reverting)
  # It is the way back of a run that nobody here knows to be over.
  if ! settled "$s_run"; then
    switch_dead || { say fault "the switch of run $s_run $(switch_says), unless that run is resumed where it was begun"; exit 0; }
    dead=" of run $s_run, which was overdue and did not run: the host may be half updated, look at it"
  fi
  mark_switch void "$s_run" "$s_fence" "$s_before" 'void since check --fix' || { say fault "$S/switch cannot be written (disk full?)"; exit 0; }
  ;;
esac
rm -f "$S/switch/vars"
drop_switch
[ ! -e "$unit_dir/$unit" ] || { say fault "$unit_dir/$unit cannot be removed: it needs the right to systemd-run"; exit 0; }
say fixed "took away $unit$dead"
