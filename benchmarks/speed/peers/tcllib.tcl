# tcllib's package transfer, on transfer::connect:
#
#   tclsh tcllib.tcl send|receive PORT PATH|-
package require transfer::transmitter
package require transfer::receiver

lassign $argv role port path
set sends [expr {$role eq "send"}]

proc done {object count {message ""}} {
    if {$message ne ""} {
        puts stderr "after $count bytes: $message"
        exit 1
    }
    close $::file
    exit
}

# transfer opens files for text; so this does it.
if {$path eq "-"} {
    set file [expr {$sends ? "stdin" : "stdout"}]
} else {
    set file [open $path [expr {$sends ? "r" : "w"}]]
}
fconfigure $file -translation binary

set mode [expr {$sends ? "active" : "passive"}]
set options [list -host 127.0.0.1 -port $port -mode $mode -channel $file \
    -translation binary -command done]
transfer::[expr {$sends ? "transmitter" : "receiver"}] partner {*}$options
partner start
vwait forever
