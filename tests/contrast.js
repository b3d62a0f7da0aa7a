// Every text on the page whose contrast with what lies behind it is below WCAG 2.2, 1.4.3: 4.5, or 3 for large text.
// Text on marks of charts has a test of its own: what lies behind it in an SVG cannot be told from here.
() => {
    const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true})
    const parsed = color => {
        canvas.clearRect(0, 0, 1, 1)
        canvas.fillStyle = color
        canvas.fillRect(0, 0, 1, 1)
        const [red, green, blue, alpha] = canvas.getImageData(0, 0, 1, 1).data
        return [red, green, blue, alpha / 255]
    }
    const over = (top, under) => [0, 1, 2].map(i => top[i] * top[3] + under[i] * (1 - top[3])).concat([1])
    const luminance = color => {
        const [red, green, blue] = color.map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
        return .2126 * red + .7152 * green + .0722 * blue
    }
    const contrast = (one, other) => {
        const [light, dark] = [luminance(one), luminance(other)].sort((a, b) => b - a)
        return (light + .05) / (dark + .05)
    }
    const around = element => {
        const found = []
        for (let one = element; one; one = one.parentElement) found.unshift(one)
        return found
    }
    const bad = new Set()
    let checked = 0
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
        const element = node.parentElement, style = getComputedStyle(element), box = element.getBoundingClientRect()
        if (!node.data.trim() || !box.width || !box.height || style.visibility !== 'visible' || style.clipPath !== 'none') continue
        if (element.closest('script, style, noscript, [aria-hidden=true], :disabled, [aria-disabled=true]')) continue
        if (element.closest('.bartext-inside, .heatmap-label, .hoverlayer, .traces[style*="opacity: 0.5"]')) continue
        const chain = around(element), inDrawing = element.closest('svg')
        const opacity = chain.reduce((all, one) => all * Number(getComputedStyle(one).opacity), 1)
        if (opacity === 0) continue
        const behind = chain.reduce((under, one) => over(parsed(getComputedStyle(one).backgroundColor), under), [255, 255, 255, 1])
        const own = parsed(inDrawing ? style.fill : style.color)
        const front = over([own[0], own[1], own[2], own[3] * opacity], behind)
        const size = parseFloat(style.fontSize), isLarge = size >= 24 || size >= 18.66 && Number(style.fontWeight) >= 700
        checked += 1
        const found = contrast(front, behind)
        if (found < (isLarge ? 3 : 4.5)) bad.add(`${found.toFixed(2)} ${node.data.trim().slice(0, 40)} <${element.tagName}>`)
    }
    return {checked, bad: [...bad]}
}
