// Package sumlog writes a log in which what recurs is summed up. One message is written when it first comes up and then at most
// once in ten seconds, with a count, however many streams it concerns.
package sumlog
