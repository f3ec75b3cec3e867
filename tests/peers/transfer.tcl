# One raw transfer by the real tcllib, package transfer.
#
#   tclsh transfer.tcl send|receive active|passive HOST PORT PATH|- ?OPTION VALUE ...?
#
# It tells the port on which it listens, and how many bytes it has moved.  Options
# are those of tls::init; with any of them the transfer goes over TLS.

proc need {package debian} {
    if {[catch {package require $package} message]} {
        puts stderr "$message: install the Debian package $debian"
        exit 1
    }
}

proc tell {args} {
    puts {*}$args
    flush [expr {[llength $args] > 1 ? [lindex $args 0] : "stdout"}]
}

proc done {object count {message ""}} {
    if {$message ne ""} {
        tell stderr "after $count bytes: $message"
        exit 1
    }
    close $::file
    tell "moved $count"
    exit
}

# A client begins the handshake when it first reads or writes.  One that only waits
# for something to read (transfer::receiver) would wait for ever.
proc secureSocket {args} {
    set channel [tls::socket {*}$args]
    if {"-server" ni $args} {
        tls::handshake $channel
    }
    return $channel
}

lassign $argv direction mode host port path
set tlsOptions [lrange $argv 5 end]
need transfer::transmitter tcllib
need transfer::receiver tcllib

# Opened here, for transfer opens files for text.
if {$path eq "-"} {
    set file [expr {$direction eq "send" ? "stdin" : "stdout"}]
} else {
    set file [open $path [expr {$direction eq "send" ? "r" : "w"}]]
}
fconfigure $file -translation binary

set options [list -host $host -port $port -mode $mode -channel $file \
    -translation binary -command done]
if {[llength $tlsOptions]} {
    need tls tcl-tls
    # The defaults are of a time when these were usual.
    tls::init -ssl2 0 -ssl3 0 -tls1 0 -tls1.1 0 -tls1.2 1 -tls1.3 1 {*}$tlsOptions
    set needsHelp [expr {$direction eq "receive" && $mode eq "active"}]
    lappend options -socketcmd [expr {$needsHelp ? "secureSocket" : "tls::socket"}]
}
if {$direction eq "send"} {
    transfer::transmitter partner {*}$options
} else {
    transfer::receiver partner {*}$options
}
set bound [partner start]
if {$mode eq "passive"} {
    tell "listening $bound"
}
vwait forever
