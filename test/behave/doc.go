// Package behave says what an engine does on a real server: tests through the public API alone, each named after what it
// shows, which look at the server itself at the end.
//
// What they run on is made in one place, newBackend in backend_test.go, so that the same tests can run on other servers.
package behave
