# The oracle for text settings: does with Tcl's own channels what the test asks.
#
# It tells the port of the loopback on which it accepts data connections, and then
# takes commands on its standard input, one a line.  Some are answered at once:
#
#   names                        of all encodings
#   settings OPTIONS ...         fconfigure, once for each OPTIONS
#   encode ENCODING              the bytes of U+0000 to U+FFFF, one by one
#   decode ENCODING HEX ...      the text of each
#
# The others say what to do with the next data connection:
#
#   reading OPTIONS                read what comes, tell each piece
#   writing OPTIONS HEX ...        write and flush each piece, and close
#   changing HOW OPTIONS OPTIONS   read some, change the settings, read the rest
#
# Text travels as the hexadecimal digits of its UTF-8.

proc tell {args} {
    puts $args
    flush stdout
}

proc toHex {text} {
    binary encode hex [encoding convertto utf-8 $text]
}

proc fromHex {hex} {
    encoding convertfrom utf-8 [binary decode hex $hex]
}

proc command {} {
    if {[gets stdin line] < 0} {
        exit
    }
    if {[lindex $line 0] in {names settings encode decode}} {
        {*}$line
    } else {
        set ::task $line
        tell ready
    }
}

proc accepted {channel args} {
    set arguments [lassign $::task name]
    $name $channel {*}$arguments
}

proc names {} {
    tell {*}[encoding names]
}

proc settings {args} {
    set ::task ignoring
    set channel [socket 127.0.0.1 [lindex [fconfigure $::listener -sockname] 2]]
    vwait ::ignored
    if {[catch {
        foreach options $args {
            fconfigure $channel {*}$options
        }
    } message]} {
        tell error $message
    } else {
        foreach char [fconfigure $channel -eofchar] {
            lappend eofchars [toHex $char]
        }
        tell {*}[fconfigure $channel -translation] \
            [fconfigure $channel -encoding] {*}$eofchars
    }
    close $channel
}

proc ignoring {channel} {
    close $channel
    set ::ignored 1
}

proc reading {channel options} {
    fconfigure $channel -blocking 0 {*}$options
    fileevent $channel readable [list readable $channel]
}

proc readable {channel} {
    set text [read $channel]
    if {[eof $channel]} {
        close $channel
        tell end [toHex $text]
    } else {
        tell got [toHex $text]
    }
}

proc writing {channel options args} {
    fconfigure $channel {*}$options
    foreach piece $args {
        puts -nonewline $channel [fromHex $piece]
        flush $channel
    }
    close $channel
}

# HOW is "line", or how many characters to read.
proc changing {channel how first second} {
    fconfigure $channel {*}$first
    if {$how eq "line"} {
        set before [gets $channel]
    } else {
        set before [read $channel $how]
    }
    fconfigure $channel {*}$second
    set after [read $channel]
    close $channel
    tell [toHex $before] [toHex $after]
}

proc encode {encoding} {
    for {set code 0} {$code < 0x10000} {incr code} {
        lappend result [binary encode hex \
            [encoding convertto $encoding [format %c $code]]]
    }
    tell {*}$result
}

proc decode {encoding args} {
    foreach hex $args {
        lappend result [toHex [encoding convertfrom $encoding [binary decode hex $hex]]]
    }
    tell {*}$result
}

fconfigure stdin -translation lf -encoding ascii
fconfigure stdout -translation lf -encoding ascii
fileevent stdin readable command
set listener [socket -server accepted -myaddr 127.0.0.1 0]
tell [lindex [fconfigure $listener -sockname] 2]
vwait forever
