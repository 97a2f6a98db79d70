// What is wrong with how the page looks: it is wider than the window, or its text is hard to read.
(() => {
	const rgba = (text) => {
		const [r, g, b, a] = (text.match(/[\d.]+/g) || []).map(Number);
		return [r, g, b, a === undefined ? 1 : a];
	};
	const over = ([r, g, b, a], below) => [r, g, b].map((c, n) => c * a + below[n] * (1 - a)).concat(1);
	const background = (e) => {
		const own = e ? rgba(getComputedStyle(e).backgroundColor) : [255, 255, 255, 1];
		return own[3] === 1 ? own : over(own, background(e.parentElement));
	};
	const luminance = (color) => {
		const [r, g, b] = color.slice(0, 3).map((c) => (c /= 255, c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
		return 0.2126 * r + 0.7152 * g + 0.0722 * b;
	};
	const contrast = (a, b) => {
		const [dark, light] = [luminance(a), luminance(b)].sort((x, y) => x - y);
		return (light + 0.05) / (dark + 0.05);
	};
	const faint = [], wide = [];
	for (const e of document.body.querySelectorAll("*")) {
		if (!e.checkVisibility({ visibilityProperty: true })) continue;
		const box = e.getBoundingClientRect();
		if (box.right > innerWidth + 1 && wide.length < 5) wide.push(e.tagName + "." + e.className + " to " + Math.round(box.right));
		if (![...e.childNodes].some((n) => n.nodeType === Node.TEXT_NODE && n.data.trim())) continue;
		const style = getComputedStyle(e), behind = background(e);
		const ratio = contrast(over(rgba(e instanceof SVGElement ? style.fill : style.color), behind), behind);
		if (ratio < 4.5) faint.push(e.tagName + "." + e.className + " " + ratio.toFixed(2) + ": " + e.textContent.trim().slice(0, 40));
	}
	const overflows = document.documentElement.scrollWidth > innerWidth;
	return { faint, wide: overflows ? ["the page is " + document.documentElement.scrollWidth + " px"].concat(wide) : [], page: getComputedStyle(document.body).backgroundColor };
})()
