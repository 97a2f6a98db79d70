// Command demo shows the uptime monitor at work: 1,000 monitors of a local server that misbehaves on command, three processes of which one is
// killed and each other one is replaced, on a private Redis. At the end it proves from the history that no check was lost. With -stay it
// goes on until it is interrupted.
package main
