# Runs one command for Uphaul. Defined before this text: _uphaul_mark (the mark of this exchange), _uphaul_stdin (how
# many bytes of it come), _uphaul_limit (seconds), _uphaul_user (whom it became, or empty) and the function `given`,
# which enters the directory, exports the environment and calls `run WORD...`. The variables have long names because
# the login may have exported short ones, and the command must see those as they were.
#
# 3 is the life line, 5 the letter box of the watcher, 6 and 7 are the real stdout and stderr.
exec 3<&0 </dev/null 6>&1 7>&2

if [ -n "$_uphaul_user" ]; then
    # As sudo does it, and as runuser does not.
    unset MAIL XDG_RUNTIME_DIR XDG_SESSION_ID XDG_CACHE_HOME XDG_CONFIG_HOME XDG_DATA_HOME XDG_STATE_HOME
    unset DBUS_SESSION_BUS_ADDRESS
    eval "HOME=~$_uphaul_user"
    USER=$_uphaul_user LOGNAME=$_uphaul_user
    export HOME USER LOGNAME
    cd "$HOME" 2>/dev/null || cd /
fi

mark() {
    printf '%s %s\n' "$_uphaul_mark" "$*" >&6
    printf '%s %s\n' "$_uphaul_mark" "$*" >&7
}

mark begin
for _uphaul_tool in setsid timeout head cat env sleep; do
    if ! command -v "$_uphaul_tool" >/dev/null; then
        printf 'uphaul: this host has no program "%s" (of coreutils or util-linux)\n' "$_uphaul_tool" >&7
        mark end 127 0
        exit
    fi
done
# Looked up here, for the command may be given another PATH.
_uphaul_setsid=$(command -v setsid)
_uphaul_sh=$(command -v sh)
_uphaul_env=$(command -v env)

# The group is that of the shell which becomes the command. It is not begun in the background: it would then ignore
# SIGINT and SIGQUIT. In parentheses, for dash says "Terminated" with the redirections of the command.
run() {
    (
        exec >&6 2>&7 3<&- 6>&- 7>&-
        exec "$_uphaul_setsid" "$_uphaul_sh" -c 'echo "g $$" >&5; exec 5>&-; exec "$@"' sh "$@"
    )
}

# Waits up to $1 seconds for a letter that is one of $2.
await() {
    timeout "$1" "$_uphaul_sh" -c 'while read -r k v; do
        case " $1 " in *" $k "*) echo "$k $v"; exit;; esac
    done' sh "$2" 3<&- 6>&- 7>&-
}

# Reads the letters: g PID: the command has begun; r CODE: it has ended; x: the life line was cut.
watch() {
    g='' m='' t=0
    while read -r k v; do
        case $k in
        g) g=$v; break ;;
        r) m="r $v"; break ;;
        x) m=x ;;
        esac
    done
    if [ -z "$m" ]; then
        m=$(await "$_uphaul_limit" 'r x')
        [ $? != 124 ] || t=1
    fi
    case $m in
    r*) ;;
    *)
        [ -z "$g" ] || kill -s TERM -- "-$g"
        m=$(await 2 r)
        if [ -z "$m" ]; then
            [ -z "$g" ] || kill -s KILL -- "-$g"
            m=$(await 10 r)
        fi
        ;;
    esac
    # What the command left behind in its group; waited for, up to 2 s, so that the end is the end.
    if [ -n "$g" ] && kill -s KILL -- "-$g"; then
        n=0
        while [ "$n" -lt 40 ] && kill -s 0 -- "-$g"; do
            sleep 0.05
            n=$((n + 1))
        done
    fi
    [ -n "$m" ] || m='r 137'
    mark end "${m#r }" "$t"
}

# The first part hands on the stdin and then watches the life line, for the two share one descriptor. It ends when the
# other side has read the end of the output and closes the life line.
{
    {
        if [ "$_uphaul_stdin" != 0 ]; then head -c "$_uphaul_stdin" <&3; fi
        exec >/dev/null
        cat <&3
        echo x >&5
    } 2>/dev/null 6>&- 7>&- | {
        if [ "$_uphaul_stdin" = 0 ]; then exec </dev/null; fi
        given
        echo "r $?" >&5
    } 2>/dev/null
} 5>&1 | watch 2>/dev/null
