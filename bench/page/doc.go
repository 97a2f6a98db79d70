// Package page writes results as one HTML file that needs nothing else: no script, font or network. Plots are inline
// SVG whose colours come from the page, so that they follow its light or dark scheme; series differ by mark and dash as
// well, bars carry their values as text. Libraries that draw SVG fix colours and sizes, and so suit neither a dark page nor
// a phone.
package page
