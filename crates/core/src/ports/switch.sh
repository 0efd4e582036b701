# Becomes the user _uphaul_user, then runs the script _uphaul_inner there. It goes in by stdin, before what comes for
# the command: words would stand in sudo's log and in the list of processes.
if [ "$(id -un)" = "$_uphaul_user" ]; then
    _uphaul_user=
    eval "$_uphaul_inner"
else
    if [ "$(id -u)" = 0 ]; then
        set -- "$(PATH=$PATH:/usr/sbin:/sbin command -v runuser || echo runuser)" -u "$_uphaul_user" --
    else
        set -- sudo -n -u "$_uphaul_user" --
    fi
    { printf '%s\n%s%s' "$_uphaul_length" "$_uphaul_become" "$_uphaul_inner"; exec cat; } | {
        "$@" sh -c "$_uphaul_reader"
        _uphaul_code=$?
        printf '%s fail %s\n' "$_uphaul_mark" "$_uphaul_code"
        printf '%s fail %s\n' "$_uphaul_mark" "$_uphaul_code" >&2
    }
fi
