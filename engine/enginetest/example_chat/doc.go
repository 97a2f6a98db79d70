// Example_chat follows chat sessions: each is a Redis stream of joins, messages and leaves, and has one owner in the fleet, which
// folds them into the state of the session. The state outlives the process, and has each message once.
package main
