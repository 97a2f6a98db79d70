// Package browser has the tests of the operators' page that need a browser: a headless Chromium shows a console on a live fleet, and is told
// to click. It has nothing else in it.
package browser
